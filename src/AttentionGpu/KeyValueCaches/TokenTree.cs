using System.Numerics;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;

namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// The trees that the new tokens of a batch form, one or several a sequence: which of them each token sees, and their positions. Made once
/// a batch, in memory that the next one uses again.
/// </summary>
internal sealed class TokenTree
{
    private uint[] _ancestors = [];
    private int[] _positions = [];
    private int _tokens;

    /// <summary>Words of a token's row of ancestors: a bit for each new token of the longest sequence. 0 where there is no tree.</summary>
    public int Words { get; private set; }

    /// <summary>Whether the tokens form a tree; else each follows the one before.</summary>
    public bool Exists => Words != 0;

    /// <summary>[tokens, words]: bit i of a row says whether the token sees the new token i of its sequence.</summary>
    public ReadOnlySpan<uint> Ancestors => _ancestors.AsSpan(0, _tokens * Words);

    /// <summary>[tokens]: the rows of the sequence before the batch, and the token's depth.</summary>
    public ReadOnlySpan<int> Positions => _positions.AsSpan(0, _tokens);

    /// <summary>Words of a row for so many new tokens of the longest sequence.</summary>
    public static int WordsOf(int longest) => TileCount.DivideUp(longest, TreeMask.WordBits);

    /// <summary>The position of the deepest of a sequence's tokens.</summary>
    /// <param name="start">The number of its first token among all of the batch.</param>
    /// <param name="end">That behind its last one.</param>
    public int LastPosition(int start, int end)
    {
        int last = 0;
        foreach (int position in _positions.AsSpan(start, end - start))
            last = Math.Max(last, position);
        return last;
    }

    /// <summary>Says that there is no tree.</summary>
    public void Clear() => (_tokens, Words) = (0, 0);

    /// <summary>Makes room for the rows of all tokens.</summary>
    public void Begin(int tokens, int longest)
    {
        _tokens = tokens;
        Words = WordsOf(longest);
        if (_positions.Length < tokens)
            _positions = new int[Math.Min(Array.MaxLength, BitOperations.RoundUpToPowerOf2((uint)tokens))];
        if (_ancestors.Length < tokens * Words)
            _ancestors = new uint[Math.Min(Array.MaxLength, BitOperations.RoundUpToPowerOf2((uint)(tokens * Words)))];
    }

    /// <summary>Adds a sequence.</summary>
    /// <param name="start">The number of its first token among all of the batch.</param>
    /// <param name="past">The position of a token that follows the past.</param>
    /// <param name="parents">For each of its tokens the one that it follows, which comes before it; -1 for the past.</param>
    public void Add(int start, int past, ReadOnlySpan<int> parents)
    {
        for (int token = 0; token < parents.Length; token++)
        {
            Span<uint> row = Row(start + token);
            if (parents[token] < 0)
            {
                row.Clear();
                _positions[start + token] = past;
            }
            else
            {
                Row(start + parents[token]).CopyTo(row);
                _positions[start + token] = _positions[start + parents[token]] + 1;
            }

            row[TreeMask.WordOf(token)] |= TreeMask.BitOf(token);
        }
    }

    private Span<uint> Row(int token) => _ancestors.AsSpan(token * Words, Words);
}
