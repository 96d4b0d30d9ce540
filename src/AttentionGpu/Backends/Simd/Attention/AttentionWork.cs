using System.Numerics;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The blocks of queries of a call of attention, as its schedule cuts them; then the rows whose parts are merged, where the keys are split.
/// </summary>
internal sealed unsafe class AttentionWork<TVector, TOperations> : WorkspaceWork
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly AttentionContext _context;
    private readonly QueryBlockKernel<TVector, TOperations> _blocks;
    private readonly PreciseRow<TVector, TOperations> _precise;
    private readonly MergedRows<TVector, TOperations> _merged;
    private readonly bool _looksAhead;
    private readonly int _chunkKeys;
    private AttentionSchedule<TVector, TOperations> _schedule;
    private SplitStates? _splitStates;
    private bool _merging;

    public AttentionWork(in AttentionSignature signature, int longestRun)
    {
        _context = new AttentionContext(signature, longestRun);
        _blocks = new(_context);
        _precise = new(_context);
        _merged = new(_context, _precise);
        _chunkKeys = QueryBlockKernel<TVector, TOperations>.ChunkKeys(signature);
        _looksAhead = signature is
        {
            Element: ElementType.Float32,
            KeyValue: { Element: KeyValueElement.Float32, Rows: KeyValueRows.Contiguous },
            HasSequences: false,
        };
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    public void Execute(
        in AttentionSchedule<TVector, TOperations> schedule, in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        _schedule = schedule;
        _context.Begin(extent, buffers);
        Take(schedule.Workspace, schedule.Workspace.In(workspace));
        int parts = schedule.KeyParts;
        int valueSize = _context.Signature.ValueHeadSize;
        _splitStates = parts == 1
            ? null
            : new SplitStates(valueSize, Shared, schedule.Rows * SplitStates.RowSize(_context.Signature), parts);
        _merging = false;
        Run(schedule.Items, schedule.Operations);
        if (parts > 1)
        {
            _merging = true;
            Run(schedule.Rows, (double)schedule.Rows * parts * valueSize);
        }

        _context.End();
    }

    protected override void Do(long item, float* memory)
    {
        if (_merging)
            Merge(_splitStates!.Value, memory, item);
        else
            Attend(memory, item);
    }

    private void Attend(float* memory, long item)
    {
        int parts = _schedule.KeyParts;
        int itemsPerHead = _schedule.ItemsPerHead;
        int part = (int)(item % parts);
        item /= parts;

        // Late queries see the most keys under a causal mask: they go first, so that no thread is left with a long one.
        int inHead = itemsPerHead - 1 - (int)(item % itemsPerHead);
        int head = (int)(item / itemsPerHead);
        int batch = head / _context.Extent.Heads;
        Sequence sequence = _context.SequenceOf(batch);
        if (!_schedule.Has(sequence))
            return;

        // Of the keys that any query of the head sees.
        (int firstKey, int endKey) = _schedule.Part(
            part, _context.Bounds.FirstKey(sequence, 0), _context.Bounds.EndKey(sequence, sequence.QueryLength - 1));
        Lookahead ahead = AfterHead(head, item);
        int firstBlock = inHead * _schedule.BlocksPerItem;
        int blocks = TileCount.DivideUp(sequence.QueryLength, Lanes);
        for (int end = Math.Min(blocks, firstBlock + _schedule.BlocksPerItem); end > firstBlock;)
        {
            int atOnce = Math.Min(_schedule.BlocksAtOnce, end - firstBlock);
            AttendBlocks(memory, &ahead, head, end - atOnce, atOnce, firstKey, endKey, part);
            end -= atOnce;
        }
    }

    /// <summary>
    /// The memory of an item that this thread is likely to have next: the others take as many in between. Only where a head's keys and
    /// values are few and stay near, and where they are another head's.
    /// </summary>
    private Lookahead AfterHead(int head, long item)
    {
        ref readonly AttentionExtent extent = ref _context.Extent;
        ref readonly AttentionBuffers buffers = ref _context.Buffers;
        long next = (item + _schedule.Threads) / _schedule.ItemsPerHead;
        if (next == head || next >= _schedule.Heads || extent.KeyLength > _chunkKeys || !_looksAhead)
            return default;
        (int batch, int nextHead) = ((int)(next / extent.Heads), (int)(next % extent.Heads));
        int keyHead = nextHead / _context.Signature.GroupSize;
        int size = _context.Signature.HeadSize;
        int valueSize = _context.Signature.ValueHeadSize;
        return new Lookahead(
            buffers.Query.Pointer<float>() + extent.Query.Offset(batch, nextHead, 0),
            extent.Query.RowStride == size ? (long)extent.QueryLength * size : 0,
            buffers.Key.Pointer<float>() + extent.Key.Offset(batch, keyHead, 0),
            extent.Key.RowStride == size ? (long)extent.KeyLength * size : 0,
            buffers.Value.Pointer<float>() + extent.Value.Offset(batch, keyHead, 0),
            extent.Value.RowStride == valueSize ? (long)extent.KeyLength * valueSize : 0);
    }

    private void AttendBlocks(float* memory, Lookahead* ahead, int head, int firstBlock, int count, int firstKey, int endKey, int part)
    {
        int heads = _context.Extent.Heads;
        QueryBlock* blocks = stackalloc QueryBlock[count];
        for (int i = 0; i < count; i++)
        {
            blocks[i] = _blocks.Begin(memory, i, head / heads, head % heads, (firstBlock + i) * Lanes);
            blocks[i].Ahead = ahead;
        }

        // Chunks are borders of ranges, which show in the bits: blocks that happen to be alone have them too where the batch may not show.
        int chunk = count == 1 && !_schedule.IsBatchInvariant ? endKey - firstKey : _chunkKeys;
        for (int key = firstKey; key < endKey; key += chunk)
        {
            for (int i = 0; i < count; i++)
                _blocks.Attend(blocks[i], key, Math.Min(key + chunk, endKey));
        }

        for (int i = 0; i < count; i++)
        {
            _blocks.End(blocks[i]);
            if (_splitStates is { } kept)
                Keep(kept, blocks[i], part);
            else
                Correct(memory, blocks[i], _blocks.WriteOutput(blocks[i]));
        }
    }

    private void Correct(float* memory, in QueryBlock block, ulong doubtful)
    {
        for (; doubtful != 0; doubtful &= doubtful - 1)
        {
            int query = block.FirstQuery + BitOperations.TrailingZeroCount(doubtful);
            _precise.Attend(memory + _schedule.PreciseOffset, block.Batch, block.Head, query);
        }
    }

    private void Keep(SplitStates states, in QueryBlock block, int part)
    {
        float** rows = stackalloc float*[block.Lanes];
        long firstRow = ((long)block.Batch * _context.Extent.Heads + block.Head) * _context.Extent.QueryLength + block.FirstQuery;
        for (int lane = 0; lane < block.Queries; lane++)
        {
            rows[lane] = states.Sums(part, firstRow + lane);
            OnlineSoftmax state = _blocks.State(block, lane);
            states.Write(rows[lane], state.Maximum, state.Sum);
        }

        new Span<float>(block.Factors, block.Lanes).Fill(1f);
        Panel.Unpack(block.Sums, block.Lanes, rows, block.Queries, _context.Signature.ValueHeadSize, block.Factors);
    }

    private void Merge(in SplitStates states, float* memory, long row)
    {
        int query = (int)(row % _context.Extent.QueryLength);
        int matrix = (int)(row / _context.Extent.QueryLength);
        (int batch, int head) = (matrix / _context.Extent.Heads, matrix % _context.Extent.Heads);
        Sequence sequence = _context.SequenceOf(batch);
        if (query < sequence.QueryLength && _schedule.Has(sequence))
            _merged.Write(states, row, batch, head, query, memory, memory + _schedule.PreciseOffset);
    }
}
