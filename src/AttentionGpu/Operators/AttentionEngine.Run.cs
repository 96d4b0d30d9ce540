using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>Runs validated requests: plans them, measures their memory, and starts them.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// Bytes of memory that a request takes beside its tensors. Kernels that it needs are compiled here: all that can fail fails before
    /// anything is written.
    /// </summary>
    internal long WorkspaceBytes(in AttentionRequest request, in AttentionMemory memory)
    {
        var parts = default(Workspace);
        TakeRows(ref parts, request.Query, default);
        TakeRows(ref parts, request.Key, memory.KeyTarget);
        TakeRows(ref parts, request.Value, memory.ValueTarget);
        request.ExtraKeys.Take(ref parts, default);
        request.Prefix.Take(ref parts, default);
        long bytes = 0;
        if (!request.Extent.IsEmpty)
            bytes = Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Signature).WorkspaceBytes(request.Extent);
        if (request.Prefix.IsNeeded)
            bytes = Math.Max(bytes, WorkspaceBytes(request.Prefix));
        if (request.ExtraKeys.IsNeeded && !request.ExtraKeys.Extent.IsEmpty)
        {
            bytes = Math.Max(
                bytes,
                Plan<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(request.ExtraKeys.Signature)
                    .WorkspaceBytes(request.ExtraKeys.Extent));
        }

        bytes = Math.Max(bytes, WorkspaceBytes(request.Query));
        bytes = Math.Max(bytes, WorkspaceBytes(request.Key));
        bytes = Math.Max(bytes, WorkspaceBytes(request.Value));
        bytes = Math.Max(bytes, WorkspaceBytes(request.PastKey));
        bytes = Math.Max(bytes, WorkspaceBytes(request.PastValue));
        return checked(parts.ByteLength + bytes);
    }

    /// <summary>Starts a request.</summary>
    /// <param name="request">The request.</param>
    /// <param name="memory">Its tensors.</param>
    /// <param name="workspace">At least <see cref="WorkspaceBytes(in AttentionRequest, in AttentionMemory)"/> bytes.</param>
    internal void Execute(in AttentionRequest request, in AttentionMemory memory, DeviceMemory workspace)
    {
        var parts = new Workspace(workspace);
        DeviceMemory query = TakeRows(ref parts, request.Query, default);
        DeviceMemory key = TakeRows(ref parts, request.Key, memory.KeyTarget);
        DeviceMemory value = TakeRows(ref parts, request.Value, memory.ValueTarget);
        AttentionBuffers buffers = request.ExtraKeys.Take(ref parts, memory.Buffers);
        MergeStatesBuffers merge = request.Prefix.Take(ref parts, memory.Buffers);
        DeviceMemory rest = parts.Rest();
        var rows = new HeadTransformBuffers
        {
            Cosine = memory.Cosine,
            Sine = memory.Sine,
            Sequences = buffers.Sequences,
            Pages = buffers.Pages,
        };
        if (request.Query.IsNeeded)
        {
            Execute(
                request.Query,
                rows with { Source = buffers.Query, Target = query, Norm = memory.QueryNorm, Positions = memory.QueryPositions }, rest);
            buffers = buffers with { Query = query };
        }

        if (request.Key.IsNeeded)
        {
            Execute(request.PastKey, new HeadTransformBuffers { Source = memory.PastKey, Target = key }, rest);
            Execute(
                request.Key,
                rows with
                {
                    Source = buffers.Key,
                    Target = Behind(request.Key, key),
                    TargetScales = buffers.KeyScales,
                    Norm = memory.KeyNorm,
                    Positions = memory.KeyPositions,
                },
                rest);
            buffers = buffers with { Key = key };
        }

        if (request.Value.IsNeeded)
        {
            Execute(request.PastValue, new HeadTransformBuffers { Source = memory.PastValue, Target = value }, rest);
            Execute(
                request.Value,
                rows with { Source = buffers.Value, Target = Behind(request.Value, value), TargetScales = buffers.ValueScales },
                rest);
            buffers = buffers with { Value = value };
        }

        if (request.Extent.IsEmpty)
            return;
        if (memory.Cache is { } cached)
            buffers = buffers with { Key = cached.Key, Value = cached.Value };

        // Keys that the call has made have no memory where there are none; a kernel's argument must be some memory.
        buffers = buffers with { Key = buffers.Key.Or(buffers.Query), Value = buffers.Value.Or(buffers.Query) };
        AttentionBuffers own = request.Prefix.IsNeeded ? request.Prefix.Part(merge, buffers, 0) : buffers;
        Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Signature).Execute(request.Extent, own, rest);
        if (request.Prefix.IsNeeded)
            Execute(request.Prefix, merge, buffers with { Sequences = memory.PrefixSequences }, rest);
        if (request.ExtraKeys.IsNeeded && !request.ExtraKeys.Extent.IsEmpty)
        {
            Plan<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(request.ExtraKeys.Signature).Execute(
                request.ExtraKeys.Extent,
                new ExtraKeysBuffers
                {
                    Query = buffers.Query,
                    Key = memory.ExtraKey,
                    Value = memory.ExtraValue,
                    Output = buffers.Output,
                    LogSumExp = buffers.LogSumExp,
                    StoredScores = buffers.Scores,
                    Scores = memory.Buffers.Scores,
                },
                rest);
        }
    }

    private long WorkspaceBytes(in PrefixStep step) => Math.Max(
        Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(step.Signature).WorkspaceBytes(step.Extent),
        Plan<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(step.Merge).WorkspaceBytes(step.MergeExtent));

    // The request's own pass has run.
    private void Execute(in PrefixStep step, in MergeStatesBuffers merge, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(step.Signature)
            .Execute(step.Extent, step.Part(merge, buffers, 1), workspace);
        Plan<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(step.Merge).Execute(step.MergeExtent, merge, workspace);
    }

    /// <summary>Bytes of memory that a product takes beside its tensors.</summary>
    internal long WorkspaceBytes(LinearSignature signature, in LinearExtent extent) =>
        extent.Rows == 0 ? 0 : Plan<LinearSignature, LinearExtent, LinearBuffers>(signature).WorkspaceBytes(extent);

    /// <summary>Starts a product.</summary>
    internal void Execute(LinearSignature signature, in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows != 0)
            Plan<LinearSignature, LinearExtent, LinearBuffers>(signature).Execute(extent, buffers, workspace);
    }

    private long WorkspaceBytes(in HeadTransformStep step) => !step.IsNeeded || step.Extent.IsEmpty
        ? 0
        : Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(step.Signature).WorkspaceBytes(step.Extent);

    private void Execute(in HeadTransformStep step, in HeadTransformBuffers buffers, DeviceMemory workspace)
    {
        if (step.IsNeeded && !step.Extent.IsEmpty)
            Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(step.Signature).Execute(step.Extent, buffers, workspace);
    }

    // Rows go to the present where it is asked for, else to memory of the call.
    private static DeviceMemory TakeRows(ref Workspace parts, in HeadTransformStep step, DeviceMemory present) =>
        !step.IsNeeded || present.Exists
            ? present
            : parts.Take(checked(step.TargetElements * step.Signature.Target.Element.Plain().Size()));

    // The memory from the step's first row on, behind the rows of the past.
    private static DeviceMemory Behind(in HeadTransformStep step, DeviceMemory target)
    {
        if (step.FirstRow == 0)
            return target;
        long start = step.FirstRow * step.Extent.Target.RowStride * step.Signature.Target.Element.Plain().Size();
        start = Math.Min(start, target.ByteLength);
        return target.Slice<byte>(start, target.ByteLength - start);
    }
}
