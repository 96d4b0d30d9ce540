using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>Rows of one stride, whose elements are neighbours. An address is the number of an element.</summary>
public struct ContiguousRows<TElement> : IMatrixRows
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>The matrices' memory.</summary>
    public ArrayView<TElement> Elements;

    /// <summary>Where their rows lie.</summary>
    public RowLayout Layout;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Origin(int matrix, int firstRow) => Layout.Base(matrix) + Layout.Row(firstRow);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(long origin, int row) => origin + Layout.Row(row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Load(long address, int column) => Elements[address + column].ToSingle();
}
