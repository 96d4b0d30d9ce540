using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <content>Rows of several query heads and queries as one block, for keys that they share and all see.</content>
internal sealed unsafe partial class QueryBlockKernel<TVector, TOperations>
{
    // Keys of a range: whole pages. Its values are asked for while its scores are computed, and the next range's keys while its values are
    // added up, so both wait in L2.
    private const int RowsKeys = 128;

    private static int RangeKeys { get; } = Math.Min(RowsKeys, BlockKeys);

    /// <summary>Floats of memory for <see cref="AttendRows"/>.</summary>
    public static long RowsWorkspaceSize(in AttentionSignature signature) =>
        ScratchSize(signature) + QueryBlock.StateSize(Lanes, signature.HeadSize, signature.ValueHeadSize, isWide: false);

    /// <summary>Attends to keys that no mask hides from any row, and that no variant changes the scores of.</summary>
    /// <param name="memory">Memory of <see cref="RowsWorkspaceSize"/>.</param>
    /// <param name="rows">The rows; at most the lanes.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="keyHead">The key/value head.</param>
    /// <param name="firstKey">The first key.</param>
    /// <param name="endKey">The key after the last.</param>
    public void AttendRows(float* memory, in LaneRows rows, int batch, int keyHead, int firstKey, int endKey)
    {
        int least = RegisterTile<TVector, TOperations>.LeastLanes;
        int narrow = RegisterTile<TVector, TOperations>.NarrowLanes;
        var ahead = default(Lookahead);
        var block = new QueryBlock
        {
            Batch = batch,
            Head = keyHead * _context.Signature.GroupSize,
            Sequence = _context.SequenceOf(batch),
            Queries = rows.Count,
            Lanes = rows.Count <= least ? least : rows.Count <= narrow ? narrow : Lanes,
            Ahead = &ahead,
        };
        block.Place(memory + _scratchSize, memory, _headSize, _valueSize, BlockKeys, _needsRows, isWide: false);
        new Span<float>(block.Maxima, block.Lanes).Fill(float.NegativeInfinity);
        new Span<float>(block.Totals, block.Lanes).Fill(-0f);
        new Span<float>(block.Sums, block.Lanes * _valueSize).Clear();
        float** addresses = stackalloc float*[rows.Count];
        for (int row = 0; row < rows.Count; row++)
            addresses[row] = rows.Queries + (nint)row * _headSize;
        float scale = rows.Factor / BinaryBase<TVector, TOperations>.Logarithm;
        Panel.Pack(block.Panel, block.Lanes, addresses, rows.Count, _headSize, scale);
        for (int key = firstKey; key < endKey; key += RangeKeys)
        {
            var keys = new KeyRange(key, Math.Min(RangeKeys, endKey - key), FirstLane: 0, IsPartial: false);
            ahead = new Lookahead(_context.Values.Rows(batch, keyHead, block.Sequence.KeyStart + key, keys.Count));
            Buffer.MemoryCopy(block.Maxima, block.OldMaxima, block.Lanes * sizeof(float), block.Lanes * sizeof(float));
            Multiply(block, keys, block.Maxima);
            Weigh<BinaryBase<TVector, TOperations>>(block, keys);
            int next = Math.Min(RangeKeys, endKey - key - keys.Count);
            ahead = next > 0
                ? new Lookahead(_context.Keys.Rows(batch, keyHead, block.Sequence.KeyStart + key + keys.Count, next))
                : default;
            AddValues(block, keys);
        }

        for (int row = 0; row < rows.Count; row++)
        {
            rows.Maxima[row] = block.Maxima[row] * BinaryBase<TVector, TOperations>.Logarithm;
            rows.Totals[row] = block.Totals[row];
            addresses[row] = rows.Sums + row * rows.SumsStride;
        }

        new Span<float>(block.Factors, block.Lanes).Fill(1f);
        Panel.Unpack(block.Sums, block.Lanes, addresses, rows.Count, _valueSize, block.Factors);
    }
}
