using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Makes ready what calls need, before they run.</content>
public sealed partial class AttentionEngine
{
    /// <summary>Makes the plans of a call that are new at the same time, where they compile kernels.</summary>
    private void MakePlans<TSteps>(in AttentionRequest request, TSteps steps)
        where TSteps : IAttentionSteps
    {
        if (!Operators.CompilesKernels)
            return;
        var plans = new NewPlans(this);
        steps.AddTo(ref plans);
        if (!request.Extent.IsEmpty)
            plans.Add<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Signature, request.Extent);
        if (request.Prefix.IsNeeded)
        {
            plans.Add<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Prefix.Signature, request.Prefix.Extent);
            plans.Add<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(request.Prefix.Merge, request.Prefix.MergeExtent);
        }

        if (request.ExtraKeys.IsNeeded && !request.ExtraKeys.Extent.IsEmpty)
        {
            plans.Add<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(
                request.ExtraKeys.Signature, request.ExtraKeys.Extent);
        }

        Add(ref plans, request.Query);
        Add(ref plans, request.Key);
        Add(ref plans, request.Value);
        Add(ref plans, request.PastKey);
        Add(ref plans, request.PastValue);
        plans.Make();
    }

    /// <summary>
    /// Makes the plans of a call and compiles its kernels, and computes nothing. Where keys are in a cache, kernels are compiled for as
    /// many as a sequence can have there too.
    /// </summary>
    private void Prepare<TSteps>(ref CallMemory call, in AttentionRequest request, in AttentionHeads heads, TSteps steps)
        where TSteps : IAttentionSteps
    {
        MakePlans(request, steps);
        steps.WorkspaceBytes(this);
        var memory = default(AttentionMemory);
        if (heads.Cache is { } cache)
            (memory.Cache, _) = Use(ref call, cache, heads.CacheLayer, default);
        WorkspaceBytes(request, memory);
        if (heads.Cache is not { } batch || request.Extent.IsEmpty)
            return;
        Sequence longest = request.Extent.Sequence;
        longest.KeyLength = batch.Cache.Options.Capacity;
        Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(request.Signature)
            .WorkspaceBytes(request.Extent with { Sequence = longest });
    }

    private static void Add(ref NewPlans plans, in HeadTransformStep step)
    {
        if (step.IsNeeded && !step.Extent.IsEmpty)
            plans.Add<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(step.Signature, step.Extent);
    }
}
