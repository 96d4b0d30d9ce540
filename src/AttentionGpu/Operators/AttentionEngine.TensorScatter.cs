using System.Buffers;
using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>The ONNX operator <c>TensorScatter</c>.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// Writes rows into a cache of fixed capacity, at a place of their own in each batch entry: the ONNX operator <c>TensorScatter</c>
    /// (opset 24), with its past and present cache in one memory. Row <c>i</c> of entry <c>b</c> goes to row <c>writeIndices[b] + i</c>.
    /// </summary>
    /// <remarks>
    /// A step of decoding writes its keys and its values, then attends to both caches with <see cref="AttentionInputs{T}.KeyLengths"/> of
    /// the write indices plus the length of the update (the operator's <c>nonpad_kv_seqlen</c>), and <see cref="Causal.BottomRight"/>
    /// where it is causal. Rows are copied as they are: keys are normalised and rotated before. Nothing but the rows of the update is
    /// written, and nothing else of the cache is read. The call returns when a cache in host memory is written; work on one that is on the
    /// device may still be running.
    /// </remarks>
    /// <param name="cache">
    /// [batch, ..., capacity, ...], such as [batch, key/value heads, capacity, head size]. It must not overlap the update.
    /// </param>
    /// <param name="update">The shape of the cache, but for the axis of rows, which is no longer than the capacity.</param>
    /// <param name="writeIndices">[batch]: the row that the first of the update goes to, 0 or more; left out for 0.</param>
    /// <param name="mode">What happens at the end of the cache. Circular indices may be its capacity or more.</param>
    /// <param name="axis">The axis of rows, from the end where it is negative; not the batch.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the cache overlaps the update or itself. Nothing is written.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// The axis, the mode or a write index is out of range; linear, a row of the update would go behind the cache. Nothing is written.
    /// </exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.</typeparam>
    public void TensorScatter<T>(
        TensorOutput<T> cache, TensorInput<T> update, ReadOnlySpan<int> writeIndices = default,
        TensorScatterMode mode = TensorScatterMode.Linear, int axis = -2)
        where T : unmanaged
    {
        var call = new CallMemory(Lifetime);
        try
        {
            ElementType element = ElementTypes.Of<T>();
            axis = TensorScatterRules.RequireShapes(cache.Lengths, update.Lengths, axis);
            TensorScatterRules.RequireIndices(cache.Lengths, (int)update.Lengths[axis], writeIndices, mode, axis);
            TensorOverlap.RequireOwnElements(cache, nameof(cache));
            TensorOverlap.RequireDistinct(cache, update, nameof(cache), nameof(update));
            if (cache.Device is null)
                ScatterOnHost(ref call, cache.Host, update, writeIndices, axis);
            else
                ScatterOnDevice(ref call, element, cache.Device, update, writeIndices, axis);
        }
        finally
        {
            call.Dispose();
        }
    }

    // What is in host memory needs no device.
    private void ScatterOnHost<T>(
        ref CallMemory call, in TensorSpan<T> cache, scoped in TensorInput<T> update, ReadOnlySpan<int> writeIndices, int axis)
        where T : unmanaged
    {
        ReadOnlyTensorSpan<T> rows = update.Host;
        if (update.Device is { } tensor)
        {
            DeviceMemory memory = call.Use(tensor, nameof(update));
            var copy = new TensorSpan<T>(new T[tensor.FlattenedLength], tensor.Lengths);
            HostCopy.Download(Lifetime.Memory, memory, copy);
            rows = copy;
        }

        if (rows.FlattenedLength == 0)
            return;
        Span<NRange> source = stackalloc NRange[rows.Rank];
        Span<NRange> target = stackalloc NRange[rows.Rank];
        source.Fill(NRange.All);
        target.Fill(NRange.All);
        for (int batch = 0; batch < rows.Lengths[0]; batch++)
        {
            var part = ScatteredRows.Of(writeIndices, batch, (int)rows.Lengths[axis], (int)cache.Lengths[axis]);
            source[0] = target[0] = batch..(batch + 1);
            source[axis] = ..part.Count;
            target[axis] = part.First..(part.First + part.Count);
            rows.Slice(source).CopyTo(cache.Slice(target));
            if (part.Rest == 0)
                continue;
            source[axis] = part.Count..;
            target[axis] = ..part.Rest;
            rows.Slice(source).CopyTo(cache.Slice(target));
        }
    }

    // The rows are the last of a sequence in each batch entry. Those that go on at the start of the cache are another sequence.
    private unsafe void ScatterOnDevice<T>(
        ref CallMemory call, ElementType element, DeviceTensor<T> cache, scoped in TensorInput<T> update, ReadOnlySpan<int> writeIndices,
        int axis)
        where T : unmanaged
    {
        HeadTensor target = TensorScatterRules.Read(cache.Lengths, cache.Strides, axis, nameof(cache));
        HeadTensor source = TensorScatterRules.Read(
            update.Lengths, update.Device is null ? default : update.Strides, axis, nameof(update));
        Sequence[] table = ArrayPool<Sequence>.Shared.Rent(checked(2 * source.Batch));
        try
        {
            Span<Sequence> sequences = table.AsSpan(0, 2 * source.Batch);
            (int longest, int longestRest) = TensorScatterRules.Fill(sequences, writeIndices, source.Length, target.Length);
            fixed (T* pinned = update.Host)
            {
                var buffers = new HeadTransformBuffers
                {
                    Source = call.Input(update, pinned, nameof(update), strided: update.Device is not null),
                    Target = call.Use(cache, nameof(cache), strided: true),
                    Sequences = call.Input<Sequence>(sequences),
                };
                if (longest == 0 || source.Heads == 0 || source.Size == 0)
                    return;
                var signature = new HeadTransformSignature
                {
                    Element = element,
                    Target = new KeyValueForm(element),
                    Size = source.Size,
                    HasSequences = true,
                    FollowsPast = true,
                };
                var first = new HeadTransformExtent
                {
                    Batch = source.Batch,
                    Heads = source.Heads,
                    Length = longest,
                    Source = source.Layout,
                    Target = target.Layout,
                    RowsAreKeys = true,
                };
                HeadTransformExtent rest = first with { Length = longestRest };
                IPlan<HeadTransformExtent, HeadTransformBuffers> plan =
                    Plan<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(signature);
                DeviceMemory workspace = call.Rent(Math.Max(plan.WorkspaceBytes(first), plan.WorkspaceBytes(rest)));
                plan.Execute(first, buffers, workspace);
                if (longestRest > 0)
                {
                    plan.Execute(
                        rest, buffers with { Sequences = buffers.Sequences.Slice<Sequence>(source.Batch, source.Batch) }, workspace);
                }
            }
        }
        finally
        {
            ArrayPool<Sequence>.Shared.Return(table);
        }
    }
}
