using System.Collections.Concurrent;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Attention on the host without its weights: by blocks of queries, or row by row where there are few queries to a key/value head. Where
/// that is too little work to share among threads, the keys are split too, and the parts merged.
/// </summary>
internal sealed unsafe class SimdAttentionPlan<TVector, TOperations> : IPlan<AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    // So many at least that no thread waits long for the last item; more where each still has some blocks of queries for its keys.
    private const int ItemsPerThread = 4;
    private const int FineItemsPerThread = 16;
    private const int MinBlocksPerFineItem = 4;
    private const int MinPartKeys = 256;

    // A block of queries costs its lanes whether there are queries in them or not.
    private const int FewQueriesShare = 4;

    // Their queries and outputs share L2 with a chunk of keys and values.
    private const int MaxBlocksAtOnce = 4;

    private static readonly ConcurrentBag<AlignedMemory> _states = [];

    private readonly AttentionProblem _problem;
    private readonly KeyBounds _bounds;
    private readonly int _threads;
    private readonly QueryBlockKernel<TVector, TOperations>? _blocks;
    private readonly FewQueriesKernel<TVector, TOperations>? _few;
    private readonly long _heads;
    private readonly int _itemsPerHead;
    private readonly int _parts;

    private readonly bool _looksAhead;

    // Blocks of queries of an item, and how many of them attend to a chunk of keys in turn.
    private readonly int _blocksPerItem;
    private readonly int _blocksAtOnce = 1;

    private IdleWork<AttentionWork> _idle;

    public SimdAttentionPlan(AttentionProblem problem, int threads)
    {
        _problem = problem;
        _bounds = new(problem);
        _threads = threads;
        _looksAhead = problem is { Element: ElementType.Float32, HasSequences: false };
        long wantedItems = threads == 1 ? 1 : (long)threads * ItemsPerThread;
        if (problem.QueryLength <= Lanes / FewQueriesShare)
        {
            _few = new(problem);
            _itemsPerHead = _few.RowBlocks;
            _heads = (long)problem.Batch * problem.KeyValueHeads;
        }
        else
        {
            _blocks = new(problem);
            _heads = (long)problem.Batch * problem.Heads;
            long items = TileCount.DivideUp(wantedItems, _heads);
            long fineItems = TileCount.DivideUp((long)threads * FineItemsPerThread, _heads);
            items = Math.Clamp(Math.Max(items, Math.Min(fineItems, QueryBlocks / MinBlocksPerFineItem)), 1, QueryBlocks);
            _blocksPerItem = (int)TileCount.DivideUp(QueryBlocks, items);
            _itemsPerHead = TileCount.DivideUp(QueryBlocks, _blocksPerItem);
            if (problem.KeyLength > _blocks.ChunkKeys)
                _blocksAtOnce = Math.Min(_blocksPerItem, MaxBlocksAtOnce);
        }

        long wantedParts = TileCount.DivideUp(wantedItems, _heads * _itemsPerHead);
        _parts = (int)Math.Clamp(Math.Min(wantedParts, problem.KeyLength / MinPartKeys), 1, wantedParts);
    }

    private static int Lanes => RegisterTile<TVector, TOperations>.Lanes;

    private int QueryBlocks => TileCount.DivideUp(_problem.QueryLength, Lanes);

    /// <summary>What all threads of a call take beyond its inputs and outputs.</summary>
    public long WorkspaceBytes =>
        sizeof(float) * (_threads * WorkspaceSize + (_parts == 1 ? 0 : SplitStates.Size(_problem, _parts)));

    /// <summary>Parts that the keys are split into; their states are merged where there are more than one.</summary>
    internal int KeyParts => _parts;

    private long WorkspaceSize => _few?.WorkspaceSize ?? _blocks!.WorkspaceSize(_blocksAtOnce);

    public void Execute(in AttentionBuffers buffers)
    {
        AttentionWork call = _idle.Take() ?? new AttentionWork(this);
        call.Execute(buffers);
        _idle.Keep(call);
    }

    private void Attend(in AttentionBuffers buffers, float* memory, long item, SplitStates? states)
    {
        int part = (int)(item % _parts);
        item /= _parts;

        // Late queries see the most keys under a causal mask: they go first, so that no thread is left with a long one.
        int inHead = _itemsPerHead - 1 - (int)(item % _itemsPerHead);
        int head = (int)(item / _itemsPerHead);
        int batch = head / (_few is not null ? _problem.KeyValueHeads : _problem.Heads);
        Sequence sequence = buffers.SequenceOf(_problem, batch);

        // The keys that any query of the head sees, in equal parts.
        int visible = _bounds.FirstKey(sequence, 0);
        long count = Math.Max(0, _bounds.EndKey(sequence, sequence.QueryLength - 1) - visible);
        int firstKey = visible + (int)(count * part / _parts);
        int endKey = visible + (int)(count * (part + 1) / _parts);
        if (_few is not null)
        {
            _few.Attend(
                buffers, memory, batch, head % _problem.KeyValueHeads, inHead, firstKey, endKey, states, part);
            return;
        }

        Lookahead ahead = AfterHead(buffers, head, item);
        int firstBlock = inHead * _blocksPerItem;
        int blocks = TileCount.DivideUp(sequence.QueryLength, Lanes);
        for (int end = Math.Min(blocks, firstBlock + _blocksPerItem); end > firstBlock;)
        {
            int atOnce = Math.Min(_blocksAtOnce, end - firstBlock);
            AttendBlocks(buffers, memory, &ahead, head, end - atOnce, atOnce, firstKey, endKey, states, part);
            end -= atOnce;
        }
    }

    /// <summary>
    /// What an item reads that this thread is likely to have next: the others take as many in between. Only where a head's keys and values
    /// are few and stay near, and where they are another head's.
    /// </summary>
    private Lookahead AfterHead(in AttentionBuffers buffers, int head, long item)
    {
        long next = (item + _threads) / _itemsPerHead;
        if (next == head || next >= _heads || _problem.KeyLength > _blocks!.ChunkKeys || !_looksAhead)
            return default;
        (int batch, int nextHead) = ((int)(next / _problem.Heads), (int)(next % _problem.Heads));
        int keyHead = nextHead / _problem.GroupSize;
        return new Lookahead(
            buffers.Query.Pointer<float>() + _problem.Query.Offset(batch, nextHead, 0),
            _problem.Query.RowStride == _problem.HeadSize ? (long)_problem.QueryLength * _problem.HeadSize : 0,
            buffers.Key.Pointer<float>() + _problem.Key.Offset(batch, keyHead, 0),
            _problem.Key.RowStride == _problem.HeadSize ? (long)_problem.KeyLength * _problem.HeadSize : 0,
            buffers.Value.Pointer<float>() + _problem.Value.Offset(batch, keyHead, 0),
            _problem.Value.RowStride == _problem.ValueHeadSize ? (long)_problem.KeyLength * _problem.ValueHeadSize : 0);
    }

    private void AttendBlocks(
        in AttentionBuffers buffers, float* memory, Lookahead* ahead, int head, int firstBlock, int count, int firstKey, int endKey,
        SplitStates? states, int part)
    {
        QueryBlock* blocks = stackalloc QueryBlock[count];
        for (int i = 0; i < count; i++)
        {
            blocks[i] = _blocks!.Begin(buffers, memory, i, head / _problem.Heads, head % _problem.Heads, (firstBlock + i) * Lanes);
            blocks[i].Ahead = ahead;
        }

        int chunk = count == 1 ? endKey - firstKey : _blocks!.ChunkKeys;
        for (int key = firstKey; key < endKey; key += chunk)
        {
            for (int i = 0; i < count; i++)
                _blocks!.Attend(buffers, blocks[i], key, Math.Min(key + chunk, endKey));
        }

        for (int i = 0; i < count; i++)
        {
            if (states is { } kept)
                Keep(kept, blocks[i], part);
            else
                _blocks!.WriteOutput(buffers, blocks[i]);
        }
    }

    private void Keep(SplitStates states, in QueryBlock block, int part)
    {
        float** rows = stackalloc float*[block.Lanes];
        for (int lane = 0; lane < block.Queries; lane++)
        {
            rows[lane] = states.Sums(part, block.Batch, block.Head, block.FirstQuery + lane);
            OnlineSoftmax state = _blocks!.State(block, lane);
            states.Write(rows[lane], state.Maximum, state.Sum);
        }

        new Span<float>(block.Factors, block.Lanes).Fill(1f);
        Panel.Unpack(block.Sums, block.Lanes, rows, block.Queries, _problem.ValueHeadSize, block.Factors);
    }

    private void Merge(in AttentionBuffers buffers, SplitStates states, float* memory, long row)
    {
        int query = (int)(row % _problem.QueryLength);
        int matrix = (int)(row / _problem.QueryLength);
        (int batch, int head) = (matrix / _problem.Heads, matrix % _problem.Heads);
        Sequence sequence = buffers.SequenceOf(_problem, batch);
        if (query >= sequence.QueryLength)
            return;
        query += sequence.QueryStart;
        var output = new Span<float>(memory, _problem.ValueHeadSize);
        OnlineSoftmax state = states.Merge(row, buffers.SinkOf(_problem, head), output);
        ElementRows.Store(
            memory, ElementRows.Address(buffers.Output, _problem.Element, _problem.Output.Offset(batch, head, query)), _problem.Element, output.Length);
        if (_problem.LogSumExp is { } layout)
            buffers.LogSumExp.Pointer<float>()[layout.Offset(batch, head, query)] = state.LogSumExp;
    }

    private sealed class AttentionWork(SimdAttentionPlan<TVector, TOperations> plan) : WorkspaceWork
    {
        private AttentionBuffers _buffers;
        private SplitStates? _splitStates;
        private bool _merging;

        public void Execute(in AttentionBuffers buffers)
        {
            _buffers = buffers;
            Execute(plan._problem);
            _buffers = default;
        }

        private void Execute(AttentionProblem problem)
        {
            double pairs = (double)problem.Batch * problem.Heads * problem.QueryLength * problem.KeyLength;
            double operations = 2.0 * pairs * (problem.HeadSize + problem.ValueHeadSize);
            _merging = false;
            if (plan._parts == 1)
            {
                _splitStates = null;
                Run(plan._heads * plan._itemsPerHead, plan._threads, operations);
                return;
            }

            AlignedMemory memory = AlignedMemory.Rent(_states, SplitStates.Size(problem, plan._parts));
            try
            {
                _splitStates = new SplitStates(problem, memory.Address, plan._parts);
                Run(plan._heads * plan._itemsPerHead * plan._parts, plan._threads, operations);
                _merging = true;
                long rows = (long)problem.Batch * problem.Heads * problem.QueryLength;
                Run(rows, plan._threads, (double)rows * plan._parts * problem.ValueHeadSize);
            }
            finally
            {
                _states.Add(memory);
            }
        }

        protected override long WorkspaceSize => _merging ? plan._problem.ValueHeadSize : plan.WorkspaceSize;

        protected override void Do(long item, float* memory)
        {
            if (_merging)
                plan.Merge(_buffers, _splitStates!.Value, memory, item);
            else
                plan.Attend(_buffers, memory, item, _splitStates);
        }
    }
}
