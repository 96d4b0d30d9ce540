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

    private long _offset0;
    private long _offset1;
    private long _offset2;
    private long _offset3;
    private Float4 _operands;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MoveTo(int column)
    {
        _offset0 = Layout.Column(column);
        _offset1 = Layout.Column(column + 1);
        _offset2 = Layout.Column(column + 2);
        _offset3 = Layout.Column(column + 3);
        _operands = new Float4(Operand(column), Operand(column + 1), Operand(column + 2), Operand(column + 3));
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Write(int row, int column, Float4 values)
    {
        int matrixRow = FirstRow + Thread.TileRow(row);
        if (matrixRow >= Rows)
            return;
        long rowBase = MatrixBase + Layout.Row(matrixRow);
        Write(rowBase + _offset0, column, values.X, _operands.X);
        Write(rowBase + _offset1, column + 1, values.Y, _operands.Y);
        Write(rowBase + _offset2, column + 2, values.Z, _operands.Z);
        Write(rowBase + _offset3, column + 3, values.W, _operands.W);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Operand(int column) => column < Columns ? Epilogue.Operand(column) : 0f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Write(long element, int column, float value, float operand)
    {
        if (column < Columns)
            Result[element] = TElement.FromSingle(Epilogue.Apply(value, operand));
    }
}
