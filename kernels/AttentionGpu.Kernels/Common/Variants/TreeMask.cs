using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>
/// The last keys of a sequence are those of its queries, which form a tree: a query sees the keys before them, and of them its ancestors'
/// and its own. Miao and others, "SpecInfer" (2023).
/// </summary>
/// <remarks>A key before the tree costs a subtraction and a comparison; one in it a load of 4 bytes besides.</remarks>
public struct TreeMask : IScoreVariant
{
    /// <summary>Tokens of a word.</summary>
    public const int WordBits = 32;

    /// <summary>[queries of all sequences, words]: bit i of a row is that of its sequence's query i.</summary>
    public ArrayView<uint> Ancestors;

    /// <summary>Words of a row.</summary>
    public int Words;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    // Most keys come before the tree.
    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <summary>The word of a row that a token's bit is in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int WordOf(int token) => token >> 5;

    /// <summary>A token's bit in its word.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint BitOf(int token) => 1u << (token & (WordBits - 1));

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key)
    {
        int draft = key - (head.Sequence.KeyLength - head.Sequence.QueryLength);
        return draft < 0
            || (Ancestors[(long)(head.Sequence.QueryStart + query) * Words + WordOf(draft)] & BitOf(draft)) != 0;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) =>
        IsVisible(head, query, key) ? score : float.NegativeInfinity;
}
