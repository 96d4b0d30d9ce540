using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Rows;
using ILGPU;

namespace AttentionGpu.Kernels.Processor;

/// <summary>The values of one head, as <see cref="PanelKernel"/> has panelled them. An address is a key.</summary>
public struct ValuePanels : IMatrixRows
{
    /// <summary>The panels' memory.</summary>
    public ArrayView<float> Elements;

    /// <summary>The head's first panel.</summary>
    public long FirstPanel;

    /// <summary>Lines of a panel.</summary>
    public int Lines;

    /// <inheritdoc/>
    public readonly long Origin(int matrix, int firstRow) => firstRow;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Skip(long origin, int rows) => origin + rows;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(long origin, int row) => origin + row;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Load(long address, int column) => Elements[
        ((FirstPanel + column / PanelArguments.RightLanes) * Lines + address) * PanelArguments.RightLanes
        + (column & (PanelArguments.RightLanes - 1))];
}
