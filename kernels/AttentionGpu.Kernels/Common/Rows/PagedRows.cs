using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>
/// Rows in pages of a power of two. Row number v of a matrix is row v mod 2^n of page <c>pages[v / 2^n]</c>; within a page rows lie as
/// <typeparamref name="TRows"/> has them, one matrix a head. Kwon and others, "PagedAttention" (2023).
/// </summary>
/// <remarks>A row costs a load from the page table, which the neighbours of a page share, a shift and a mask.</remarks>
public struct PagedRows<TRows> : IStoredRows
    where TRows : struct, IStoredRows
{
    /// <summary>The first page; the stride between its batch entries is 0.</summary>
    public TRows First;

    /// <summary>The number of each page.</summary>
    public ArrayView<int> Pages;

    /// <summary>A page has 2 to the power of this rows.</summary>
    public int Shift;

    /// <summary>From one page to the next, in what addresses of the first page count.</summary>
    public long PageStride;

    /// <inheritdoc/>
    public static bool HasScales => TRows.HasScales;

    /// <inheritdoc/>
    public static int GroupShift => TRows.GroupShift;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scale(float largest) => TRows.Scale(largest);

    /// <summary>The matrix's place in a page, which is less than 2^31, and behind it the first row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Origin(int matrix, int firstRow) => (First.Origin(matrix, 0) << 32) | (uint)firstRow;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Address(int batch, int head, int row) => Row((First.Address(batch, head, 0) << 32) | (uint)row, 0);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Skip(long origin, int rows) => origin + rows;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(long origin, int row)
    {
        int number = (int)origin + row;
        return First.Row((origin >> 32) + Pages[number >> Shift] * PageStride, number & ((1 << Shift) - 1));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Load(long address, int column) => First.Load(address, column);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void StoreScale(long address, int group, float scale) => First.StoreScale(address, group, scale);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(long address, int column, Float4 values, int count, bool isAligned, float scale) =>
        First.Store(address, column, values, count, isAligned, scale);
}
