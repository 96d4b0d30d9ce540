using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Attention;

/// <summary>
/// Stores the sums of a thread over a stretch of keys: adds the sums that earlier stretches have left in the output, and divides by the
/// sums of the weights after the last stretch.
/// </summary>
public struct OutputSink<TTile, TElement> : IFragmentSink
    where TTile : struct, ITile
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>The output's memory.</summary>
    public ArrayView<TElement> Result;

    /// <summary>Where its elements lie.</summary>
    public RowLayout Layout;

    /// <summary>The head's first element.</summary>
    public long MatrixBase;

    /// <summary>The thread's place.</summary>
    public ThreadPosition<TTile> Thread;

    /// <summary>The tile's first query.</summary>
    public int FirstQuery;

    /// <summary>Queries of the head.</summary>
    public int Queries;

    /// <summary>Columns of the output.</summary>
    public int Columns;

    /// <summary>Whether earlier stretches have left sums in the output.</summary>
    public bool HasEarlier;

    /// <summary>The factors by which the sums of earlier stretches shrink.</summary>
    public Rows8 Earlier;

    /// <summary>Whether this is the last stretch.</summary>
    public bool IsLast;

    /// <summary>The factors of the sums after the last stretch; NaN for a row whose weights are NaN.</summary>
    public Rows8 Factors;

    /// <summary>See <see cref="ValuePass"/>.</summary>
    public int Pass;

    /// <summary>Becomes 1 where a sum is not finite, though its factor is.</summary>
    public ArrayView<int> Flag;

    /// <summary>The output's element of a query and a column.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Element(int query, int column) => MatrixBase + Layout.Row(query) + column;

    /// <inheritdoc/>
    public readonly void MoveTo(int column)
    {
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Write(int row, int column, Float4 values)
    {
        int query = FirstQuery + Thread.TileRow(row);
        if (query >= Queries)
            return;
        long element = Element(query, column);
        Write(element, column, values.X, Earlier[row], Factors[row]);
        Write(element + 1, column + 1, values.Y, Earlier[row], Factors[row]);
        Write(element + 2, column + 2, values.Z, Earlier[row], Factors[row]);
        Write(element + 3, column + 3, values.W, Earlier[row], Factors[row]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Write(long element, int column, float value, float earlier, float factor)
    {
        if (column >= Columns)
            return;
        if (TElement.HoldsSingle && HasEarlier)
            value += Result[element].ToSingle() * earlier;
        if (!TElement.HoldsSingle || IsLast)
        {
            value *= factor;
            if (Pass == ValuePass.Scaled)
                value = ValuePass.Restore(value);
            else if (!ValuePass.IsFinite(value) && ValuePass.IsFinite(factor))
                Flag[0] = 1;
        }

        Result[element] = TElement.FromSingle(value);
    }
}
