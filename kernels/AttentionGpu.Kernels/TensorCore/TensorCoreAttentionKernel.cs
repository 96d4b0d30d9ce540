using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>
/// Fused attention forward on tensor cores, SM_80 and up, for elements of 16 bits: Dao, "FlashAttention-2" (2023). A warp has 16 queries, a
/// group 64, a block 32 keys. <c>cp.async</c> brings the next block while this one is computed.
/// </summary>
public static class TensorCoreAttentionKernel
{
    private const int Queries = 64;
    private const int Keys = 32;
    private const int WarpRows = TensorCoreTiles.WarpRows;
    private const int PieceBytes = TensorCoreTiles.PieceBytes;
    private const int ElementBytes = TensorCoreTiles.ElementBytes;
    private const int WordBytes = 4;

    // As ValuePass.Shrink, as an exponent of 2.
    private const float ShrinkBits = 32f;

    // exp(x) = 2^(x * log2(e)).
    private const float Log2E = 1.44269504f;

    // Head sizes up to 64 take 96 registers then. Above, shared memory has room for three groups.
    private const int ResidentGroups64 = 5;
    private const int ResidentGroups128 = 3;

    /// <summary>Limits registers to those that leave as many groups resident.</summary>
    /// <param name="columns">See <see cref="ITensorCoreSize.Columns"/>.</param>
    public static KernelSpecialization Specialization(int columns) =>
        new(TensorCoreTiles.Threads, columns <= TensorCoreSize64.Columns ? ResidentGroups64 : ResidentGroups128);

    /// <summary>The number of groups to launch.</summary>
    public static long GroupCount(int batch, int heads, int queryLength) => (long)batch * heads * TileCount.DivideUp(queryLength, Queries);

    /// <summary>
    /// <c>output = softmax(scale * query * key^T) * value</c> over the keys of a range. A row that sees no key becomes zeros. Scores and
    /// sums are float32; weights are rounded to the elements' type before they meet the values.
    /// </summary>
    /// <remarks>
    /// A warp, a block of 32 keys, head size 64 (128): 32 (64) <c>mma.sync</c> and 20 (40) <c>ldmatrix</c>; a thread 16 exponentials.
    /// Registers: 16 scores, 32 (64) outputs, 12 operands, 11 of the softmax.
    /// </remarks>
    /// <param name="shape">Sizes, layouts and addresses.</param>
    /// <param name="sequences">A sequence a batch entry.</param>
    /// <param name="range">The keys that a query can see.</param>
    /// <param name="value">The values once more, for groups that find some that are not finite.</param>
    /// <param name="output">The output once more, likewise.</param>
    public static void Forward<TTensor, TElement, TSize, TRange>(
        TensorCoreAttentionArguments shape, ArrayView<Sequence> sequences, TRange range, ContiguousRows<TElement> value,
        ArrayView<TElement> output)
        where TTensor : struct, ITensorCoreElement
        where TElement : unmanaged, IElement<TElement>
        where TSize : struct, ITensorCoreSize
        where TRange : struct, IKeyRange
    {
        int rowBytes = TSize.Columns * ElementBytes;
        int blockBytes = Keys * rowBytes;

        // Queries, then two blocks of keys, then two of values.
        if (TSize.Columns == 64)
            CudaAsm.Emit(".shared .align 128 .b8 tiles[24576];");
        else
            CudaAsm.Emit(".shared .align 128 .b8 tiles[49152];");
        CudaAsm.Emit("mov.u32 %0, tiles;", out int tiles);
        int queryTile = tiles;
        int keyTiles = queryTile + Queries * rowBytes;
        int valueTiles = keyTiles + 2 * blockBytes;

        int queryGroups = TileCount.DivideUp(shape.Attention.QueryLength, Queries);
        var place = new GroupPlace(queryGroups, 1, shape.Attention.Heads, shape.Attention.GroupSize);
        int firstQuery = (queryGroups - 1 - place.Column) * Queries;
        Sequence sequence = shape.Attention.HasSequences != 0 ? sequences[place.Batch] : shape.Attention.Sequence;
        if (firstQuery >= sequence.QueryLength)
            return;

        long queries = Address(shape.Query, shape.QueryRows, place.Batch, place.Head, sequence.QueryStart + firstQuery);
        long keys = Address(shape.Key, shape.KeyRows, place.Batch, place.KeyHead, sequence.KeyStart);
        long values = Address(shape.Value, shape.ValueRows, place.Batch, place.KeyHead, sequence.KeyStart);
        long keyBytes = shape.KeyRows.RowStride * ElementBytes;
        long valueBytes = shape.ValueRows.RowStride * ElementBytes;

        int warpQuery = TensorCoreTiles.FirstRow;
        int leftRow = TensorCoreTiles.LeftRow * rowBytes;
        int leftPiece = TensorCoreTiles.LeftPiece;
        int rightRow = TensorCoreTiles.RightRow * rowBytes;
        int rightPiece = TensorCoreTiles.RightPiece;
        int queryRow = queryTile + warpQuery * rowBytes + leftRow;

        // The thread's two rows of scores, and the first of its columns.
        int row0 = firstQuery + warpQuery + (TensorCoreTiles.Lane >> 2);
        int row1 = row0 + 8;
        int column = (TensorCoreTiles.Lane & 3) * 2;
        int first0 = range.FirstKey(sequence, row0);
        int first1 = range.FirstKey(sequence, row1);
        int end0 = range.EndKey(sequence, row0);
        int end1 = range.EndKey(sequence, row1);

        CudaAsm.Emit(TensorCoreText.Declare);
        int lastQuery = IntrinsicMath.Min(firstQuery + Queries, sequence.QueryLength) - 1;
        int startKey = range.FirstKey(sequence, firstQuery);
        int endKey = range.EndKey(sequence, lastQuery);
        RowLayout outputRows = shape.Attention.Output;
        long outputColumn0 = shape.Output + column * ElementBytes;
        long output0 = Address(outputColumn0, outputRows, place.Batch, place.Head, sequence.QueryStart + row0);
        long output1 = Address(outputColumn0, outputRows, place.Batch, place.Head, sequence.QueryStart + row1);
        int columns0 = row0 < sequence.QueryLength ? shape.Attention.ValueHeadSize : 0;
        int columns1 = row1 < sequence.QueryLength ? shape.Attention.ValueHeadSize : 0;
        int pass = ValuePass.Plain;
        bool isDone = false;
        while (!isDone)
        {
            // Also the sum of the weights becomes so much smaller: the mean stays as it is.
            float shrink = pass == ValuePass.Scaled ? ShrinkBits : 0f;
            CudaAsm.Emit(TensorCoreText.Clear);
            TensorCoreTiles.Copy<TSize>(
                queryTile, Queries, queries, shape.QueryRows.RowStride, sequence.QueryLength - firstQuery, shape.Attention.HeadSize);
            long nextKeys = keys + startKey * keyBytes;
            long nextValues = values + startKey * valueBytes;
            CopyBlock<TSize>(shape, keyTiles, valueTiles, nextKeys, nextValues, sequence.KeyLength - startKey);
            CudaAsm.Emit(TensorCoreText.Commit);
            int stage = 0;
            for (int firstKey = startKey; firstKey < endKey; firstKey += Keys)
            {
                int keyTile = keyTiles + stage * blockBytes;
                int valueTile = valueTiles + stage * blockBytes;
                stage = 1 - stage;

                // Behind the last block nothing is read, and the addresses must be inside.
                int left = sequence.KeyLength - firstKey - Keys;
                if (left > 0)
                {
                    nextKeys += Keys * keyBytes;
                    nextValues += Keys * valueBytes;
                }

                CopyBlock<TSize>(shape, keyTiles + stage * blockBytes, valueTiles + stage * blockBytes, nextKeys, nextValues, left);
                CudaAsm.Emit(TensorCoreText.Commit);
                CudaAsm.Emit(TensorCoreText.WaitForAllButLast);
                Group.Barrier();
                if (pass != ValuePass.Plain)
                    KeepFinite<TTensor>(valueTile, blockBytes);

                CudaAsm.Emit(TensorCoreText.ClearScores);
                for (int piece = 0; piece < TSize.Columns / TensorCoreTiles.PieceElements; piece += 2)
                {
                    int key = keyTile + rightRow + (rightPiece ^ piece) * PieceBytes;
                    TTensor.Scores(queryRow + (leftPiece ^ piece) * PieceBytes, key, key + WarpRows * rowBytes);
                }

                CudaAsm.Emit(TensorCoreText.Scale, shape.Attention.Scale * Log2E);
                if (firstKey < range.FirstKey(sequence, lastQuery) || firstKey + Keys > range.EndKey(sequence, firstQuery))
                    CudaAsm.Emit(TensorCoreText.Mask, firstKey + column, first0, end0, first1, end1);
                CudaAsm.Emit(TensorCoreText.Softmax, shrink);
                CudaAsm.Emit(TensorCoreText.ShrinkLow);
                if (TSize.Columns > 64)
                    CudaAsm.Emit(TensorCoreText.ShrinkHigh);
                TTensor.PackLow();
                AddValues<TTensor, TSize>(valueTile + leftRow, leftPiece);
                TTensor.PackHigh();
                AddValues<TTensor, TSize>(valueTile + leftRow + WarpRows * rowBytes, leftPiece);
                Group.Barrier();
            }

            CudaAsm.Emit(TensorCoreText.WaitForAll);
            CudaAsm.Emit(TensorCoreText.Finish);
            CudaAsm.Emit(TensorCoreText.CheckLow);
            if (TSize.Columns > 64)
                CudaAsm.Emit(TensorCoreText.CheckHigh);
            TTensor.StoreLow(output0, output1, columns0, columns1);
            if (TSize.Columns > 64)
                TTensor.StoreHigh(output0, output1, columns0, columns1);
            CudaAsm.Emit(TensorCoreText.AnyNonFinite, out int isAgain);
            isDone = isAgain == 0 || pass == ValuePass.Scaled;
            if (!isDone)
                pass++;
        }

        if (pass == ValuePass.Plain)
            return;
        var head = new SequenceHead { Batch = place.Batch, Head = place.Head, Sequence = sequence };
        long valueOrigin = value.Address(place.Batch, place.KeyHead, sequence.KeyStart);
        for (int i = 0; i < TSize.Columns / 2; i++)
        {
            int query = (i & 1) == 0 ? row0 : row1;
            int outputColumn = column + (i >> 2) * TensorCoreTiles.PieceElements + ((i >> 1) & 1);
            if (query < sequence.QueryLength && outputColumn < shape.Attention.ValueHeadSize)
            {
                long element = shape.Attention.Output.Address(place.Batch, place.Head, sequence.QueryStart + query) + outputColumn;
                ValuePass.AddVisible(output, element, value, valueOrigin, outputColumn, head, query, range, default(NoVariant));
            }
        }
    }

    // The whole group, between two barriers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void KeepFinite<TTensor>(int tile, int bytes)
        where TTensor : struct, ITensorCoreElement
    {
        for (int i = Group.IdxX * WordBytes; i < bytes; i += TensorCoreTiles.Threads * WordBytes)
            TTensor.KeepFinite(tile + i);
        Group.Barrier();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void AddValues<TTensor, TSize>(int row, int piece)
        where TTensor : struct, ITensorCoreElement
        where TSize : struct, ITensorCoreSize
    {
        TTensor.ValuesLow(
            row + piece * PieceBytes, row + (piece ^ 2) * PieceBytes, row + (piece ^ 4) * PieceBytes, row + (piece ^ 6) * PieceBytes);
        if (TSize.Columns > 64)
        {
            TTensor.ValuesHigh(
                row + (piece ^ 8) * PieceBytes, row + (piece ^ 10) * PieceBytes, row + (piece ^ 12) * PieceBytes, row + (piece ^ 14) * PieceBytes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void CopyBlock<TSize>(
        TensorCoreAttentionArguments shape, int keyTile, int valueTile, long keys, long values, int rows)
        where TSize : struct, ITensorCoreSize
    {
        TensorCoreTiles.Copy<TSize>(keyTile, Keys, keys, shape.KeyRows.RowStride, rows, shape.Attention.HeadSize);
        TensorCoreTiles.Copy<TSize>(valueTile, Keys, values, shape.ValueRows.RowStride, rows, shape.Attention.ValueHeadSize);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static long Address(long tensor, RowLayout layout, int batch, int head, int row) =>
        tensor + layout.Address(batch, head, row) * ElementBytes;
}
