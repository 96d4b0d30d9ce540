using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>The scores of a query, four at a time, as a range and a variant leave them.</summary>
internal struct ScoreRow<TRange, TVariant>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    /// <summary>All scores.</summary>
    public ArrayView<SingleElement> Scores;

    /// <summary>The row's first score.</summary>
    public long First;

    /// <summary>Scores of the row.</summary>
    public int Length;

    /// <summary>See <see cref="SoftmaxArguments.IsAligned"/>.</summary>
    public bool IsAligned;

    /// <summary>The first key that the query sees.</summary>
    public int StartKey;

    /// <summary>The key after the last that it sees, at most the row's length.</summary>
    public int EndKey;

    /// <summary>The query.</summary>
    public int Query;

    /// <summary>The head.</summary>
    public SequenceHead Head;

    /// <summary>What else becomes of a score.</summary>
    public TVariant Variant;

    /// <summary>
    /// A row of a stack; one without scores behind the last. Divisions are inside the branch: ILGPU leaves there what a branch has chosen,
    /// and else divides in the loop over keys.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ScoreRow<TRange, TVariant> Create(
        SoftmaxArguments shape, int row, ArrayView<SingleElement> scores, ArrayView<Sequence> sequences, TRange range, TVariant variant)
    {
        SequenceHead head = default;
        int query = 0;
        int length = 0;
        if (row < shape.Rows)
        {
            head = shape.Head(row, sequences);
            query = row % shape.QueryLength;
            length = shape.KeyLength;
        }

        return new ScoreRow<TRange, TVariant>
        {
            Scores = scores,
            First = (long)row * shape.KeyLength,
            Length = length,
            IsAligned = shape.IsAligned != 0,
            StartKey = range.FirstKey(head.Sequence, query),
            EndKey = IntrinsicMath.Min(shape.KeyLength, range.EndKey(head.Sequence, query)),
            Query = query,
            Head = head,
            Variant = variant,
        };
    }

    /// <summary>Four changed scores; -inf where a key is hidden, and behind the row's end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Float4 Load(int key)
    {
        Float4 scores = Quad<SingleElement>.Load(Scores, First + key, Length - key, IsAligned);
        return new Float4(
            Change(scores.X, key), Change(scores.Y, key + 1), Change(scores.Z, key + 2), Change(scores.W, key + 3));
    }

    /// <summary>Writes four numbers at the place of four scores.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TElement>(ArrayView<TElement> target, int key, Float4 values)
        where TElement : unmanaged, IElement<TElement> =>
        Quad<TElement>.Store(target, First + key, Length - key, IsAligned, values);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Change(float score, int key) =>
        key >= StartKey && key < EndKey ? Variant.Apply(score, Head, Query, key) : float.NegativeInfinity;
}
