using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>Rows of one stride, whose elements are neighbours. An address is the number of an element.</summary>
public struct ContiguousRows<TElement> : IStoredRows
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>The matrices' memory.</summary>
    public ArrayView<TElement> Elements;

    /// <summary>Where their rows lie.</summary>
    public RowLayout Layout;

    /// <inheritdoc/>
    public static bool HasScales => false;

    /// <inheritdoc/>
    public static int GroupShift => 0;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scale(float largest) => 1f;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Origin(int matrix, int firstRow) => Layout.Base(matrix) + Layout.Row(firstRow);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Address(int batch, int head, int row) => Layout.Address(batch, head, row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Skip(long origin, int rows) => Row(origin, rows);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(long origin, int row) => origin + Layout.Row(row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Load(long address, int column) => Elements[address + column].ToSingle();

    /// <inheritdoc/>
    public readonly void StoreScale(long address, int group, float scale)
    {
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(long address, int column, Float4 values, int count, bool isAligned, float scale) =>
        Quad<TElement>.Store(Elements, address + column, count, isAligned, values);
}
