using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Makes the rows of keys and values that kernels read from a call's memory: one class for each way to keep them.</summary>
internal interface IKeyValueBinder<TRows>
    where TRows : struct, IMatrixRows
{
    /// <summary>The keys, as the matrices of a grid of heads.</summary>
    /// <param name="extent">The sizes of the call.</param>
    /// <param name="buffers">Its memory.</param>
    /// <param name="heads">Heads of the grid in a batch entry: those of queries, or those of keys and values.</param>
    /// <param name="headsPerMatrix">Heads of the grid that share a matrix.</param>
    TRows Keys(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix);

    /// <summary>The values. Parameters as for <see cref="Keys"/>.</summary>
    TRows Values(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix);
}

/// <summary>Keys and values whose rows have one stride.</summary>
internal sealed class ContiguousKeyValues<TElement> : IKeyValueBinder<ContiguousRows<TElement>>
    where TElement : unmanaged, IElement<TElement>
{
    public ContiguousRows<TElement> Keys(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix) =>
        new() { Elements = buffers.Key.View<TElement>(), Layout = AttentionLayouts.Rows(extent.Key, heads, headsPerMatrix) };

    public ContiguousRows<TElement> Values(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix) =>
        new() { Elements = buffers.Value.View<TElement>(), Layout = AttentionLayouts.Rows(extent.Value, heads, headsPerMatrix) };
}
