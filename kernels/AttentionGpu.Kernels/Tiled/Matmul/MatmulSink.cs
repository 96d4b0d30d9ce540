using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Matmul;

/// <summary>Stores a tile of a product through a layout and an epilogue.</summary>
public struct MatmulSink<TTile, TElement, TLayout, TEpilogue> : IFragmentSink
    where TTile : struct, ITile
    where TElement : unmanaged, IElement<TElement>
    where TLayout : struct, IMatrixLayout
    where TEpilogue : struct, IEpilogue
{
    /// <summary>The result's memory.</summary>
    public ArrayView<TElement> Result;

    /// <summary>Where its elements lie.</summary>
    public TLayout Layout;

    /// <summary>The matrix's first element.</summary>
    public long MatrixBase;

    /// <summary>What is done to an element before it is stored.</summary>
    public TEpilogue Epilogue;

    /// <summary>The thread's place.</summary>
    public ThreadPosition<TTile> Thread;

    /// <summary>The tile's first row.</summary>
    public int FirstRow;

    /// <summary>Rows of the result.</summary>
    public int Rows;

    /// <summary>Columns of the result.</summary>
    public int Columns;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Write(int row, int column, Float4 values)
    {
        int matrixRow = FirstRow + Thread.TileRow(row);
        if (matrixRow >= Rows)
            return;
        long rowBase = MatrixBase + Layout.Row(matrixRow);
        Write(rowBase, column, values.X);
        Write(rowBase, column + 1, values.Y);
        Write(rowBase, column + 2, values.Z);
        Write(rowBase, column + 3, values.W);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Write(long rowBase, int column, float value)
    {
        if (column < Columns)
            Result[rowBase + Layout.Column(column)] = TElement.FromSingle(Epilogue.Apply(value, column));
    }
}
