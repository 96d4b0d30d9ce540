using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>Two fragments side by side: twice the columns, for the same loads of rows.</summary>
public struct FragmentPair<T> : IBlockFragment
    where T : struct, IBlockFragment
{
    /// <summary>The first half of the groups.</summary>
    public T First;

    /// <summary>The second half of the groups.</summary>
    public T Second;

    /// <inheritdoc/>
    public static int Groups => 2 * T.Groups;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(Rows8 rows, ArrayView<Float4> panel, int index, int stride)
    {
        First.MultiplyAdd(rows, panel, index, stride);
        Second.MultiplyAdd(rows, panel, index + T.Groups * stride, stride);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(Rows8 factors)
    {
        First.Scale(factors);
        Second.Scale(factors);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StartBlock(Rows8 factors)
    {
        First.StartBlock(factors);
        Second.StartBlock(factors);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void EndBlock(Rows8 factors)
    {
        First.EndBlock(factors);
        Second.EndBlock(factors);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TSink>(TSink sink, int column, int stride)
        where TSink : struct, IFragmentSink
    {
        First.Store(sink, column, stride);
        Second.Store(sink, column + T.Groups * stride, stride);
    }
}
