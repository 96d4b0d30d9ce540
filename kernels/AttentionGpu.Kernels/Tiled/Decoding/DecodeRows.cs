using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Decoding;

/// <summary>The eight rows of a group: the queries of the heads that share keys, query by query.</summary>
public struct DecodeRows<TRange, TVariant>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    /// <summary>Rows of a group.</summary>
    public const int Count = 8;

    /// <summary>The query of each row, in shared memory; negative where there is none.</summary>
    public ArrayView<int> Queries;

    /// <summary>The head of each row, in shared memory.</summary>
    public ArrayView<int> Heads;

    /// <summary>The batch entry.</summary>
    public int Batch;

    /// <summary>Its sequence.</summary>
    public Sequence Sequence;

    /// <summary>The keys that a query can see.</summary>
    public TRange Range;

    /// <summary>What else becomes of a score.</summary>
    public TVariant Variant;

    /// <summary>Makes the products of a key its scores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Rows8 Scores(Rows8 products, int key) => new(
        new Float4(
            Score(products.Low.X, 0, key), Score(products.Low.Y, 1, key), Score(products.Low.Z, 2, key), Score(products.Low.W, 3, key)),
        new Float4(
            Score(products.High.X, 4, key), Score(products.High.Y, 5, key), Score(products.High.Z, 6, key),
            Score(products.High.W, 7, key)));

    /// <summary>A value in the rows that see its key, and 0 in the others.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Rows8 Visible(float value, int key) => new(
        new Float4(Visible(value, 0, key), Visible(value, 1, key), Visible(value, 2, key), Visible(value, 3, key)),
        new Float4(Visible(value, 4, key), Visible(value, 5, key), Visible(value, 6, key), Visible(value, 7, key)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Score(float product, int row, int key) =>
        IsInRange(row, key) ? Variant.Apply(product, Head(row), Queries[row], key) : float.NegativeInfinity;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Visible(float value, int row, int key) =>
        IsInRange(row, key) && Variant.IsVisible(Head(row), Queries[row], key) ? value : 0f;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool IsInRange(int row, int key)
    {
        int query = Queries[row];
        return query >= 0 && key >= Range.FirstKey(Sequence, query) && key < Range.EndKey(Sequence, query);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly SequenceHead Head(int row) => new() { Batch = Batch, Head = Heads[row], Sequence = Sequence };
}
