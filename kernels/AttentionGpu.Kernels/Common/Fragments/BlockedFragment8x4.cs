using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// Eight rows by four columns that add up each block of keys by itself, and then the blocks: the rounding errors of equal terms grow with
/// the length of a block and the number of blocks, not with their product. A block is added by the multiply-adds that make the sums shrink,
/// so it costs no operation. The block's 32 registers are those of its scores, which are in memory meanwhile.
/// </summary>
public struct BlockedFragment8x4 : IBlockFragment
{
    private Fragment8x4 _sums;
    private Fragment8x4 _block;

    /// <inheritdoc/>
    public static int Groups => 1;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StartBlock(Rows8 factors) => _block = default;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void EndBlock(Rows8 factors) => _sums.ScaleAdd(factors, _block);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(Rows8 rows, ArrayView<Float4> panel, int index, int stride) => _block.MultiplyAdd(rows, panel, index, stride);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(Rows8 factors) => _sums.Scale(factors);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TSink>(TSink sink, int column, int stride)
        where TSink : struct, IFragmentSink => _sums.Store(sink, column, stride);
}
