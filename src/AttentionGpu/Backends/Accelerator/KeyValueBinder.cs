using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Makes the rows of keys and values that kernels read from a call's memory.</summary>
internal sealed class KeyValueBinder<TRows>(AttentionSignature signature, IRowBinder<TRows> binder)
    where TRows : struct, IMatrixRows
{
    /// <summary>The keys, as the matrices of a grid of heads.</summary>
    /// <param name="extent">The sizes of the call.</param>
    /// <param name="buffers">Its memory.</param>
    /// <param name="heads">Heads of the grid in a batch entry: those of queries, or those of keys and values.</param>
    /// <param name="headsPerMatrix">Heads of the grid that share a matrix.</param>
    public TRows Keys(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix) => binder.Rows(
        new RowMemory(buffers.Key, buffers.KeyScales, buffers.Pages, extent.PageShift, extent.Key, signature.HeadSize),
        heads, headsPerMatrix);

    /// <summary>The values. Parameters as for <see cref="Keys"/>.</summary>
    public TRows Values(in AttentionExtent extent, in AttentionBuffers buffers, int heads, int headsPerMatrix) => binder.Rows(
        new RowMemory(
            buffers.Value, buffers.ValueScales, buffers.Pages, extent.PageShift, extent.Value,
            signature.KeyValue.StoredValueSize(signature.HeadSize, signature.ValueHeadSize)),
        heads, headsPerMatrix);
}
