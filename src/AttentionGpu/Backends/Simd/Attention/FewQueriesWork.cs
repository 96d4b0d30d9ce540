using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The sequences of a call that have few queries, as <see cref="FewQueriesSchedule{TVector, TOperations}"/> cuts them.</summary>
/// <remarks>
/// Items are numbered by batch entry, key/value head, part of the keys and row block, the last fastest: the row blocks of a part read the
/// same keys one after another.
/// </remarks>
internal sealed unsafe class FewQueriesWork<TVector, TOperations> : WorkspaceWork
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly AttentionContext _context;
    private readonly FewQueriesKernel<TVector, TOperations> _kernel;
    private readonly MergedRows<TVector, TOperations> _merged;
    private readonly int _stateRowSize;
    private FewQueriesSchedule<TVector, TOperations> _schedule;
    private long* _starts;
    private int* _counters;
    private float* _states;
    private long _firstItem;

    public FewQueriesWork(in AttentionSignature signature, int longestRun)
    {
        _context = new AttentionContext(signature, longestRun);
        var precise = new PreciseRow<TVector, TOperations>(_context);
        _kernel = new(_context, precise);
        _merged = new(_context, precise);
        _stateRowSize = SplitStates.RowSize(signature);
    }

    public void Execute(
        in FewQueriesSchedule<TVector, TOperations> schedule, in AttentionExtent extent, in AttentionBuffers buffers,
        DeviceMemory workspace)
    {
        _schedule = schedule;
        _context.Begin(extent, buffers);
        Take(schedule.Workspace, schedule.Workspace.In(workspace));
        _starts = (long*)Shared;
        _counters = (int*)(Shared + schedule.StartsSize);
        _states = Shared + schedule.StartsSize + schedule.CountersSize;
        long items = Count();
        for (_firstItem = 0; _firstItem < items;)
        {
            long end = RoundEnd(items);
            if (schedule.StateSize != 0)
                new Span<int>(_counters, (int)(end - _firstItem)).Clear();
            Run(end - _firstItem, schedule.Operations * (end - _firstItem) / items);
            _firstItem = end;
        }

        _context.End();
    }

    protected override void Do(long item, float* memory)
    {
        item += _firstItem;
        int batch = BatchOf(item);
        SequenceParts cut = Cut(batch);
        long inSequence = item - _starts[batch];
        int rowBlock = (int)(inSequence % cut.RowBlocks);
        int part = (int)(inSequence / cut.RowBlocks % cut.Parts);
        int head = (int)(inSequence / cut.HeadItems);
        if (cut.Parts == 1)
        {
            _kernel.Attend(memory, memory + _schedule.PreciseOffset, batch, head, rowBlock, cut.FirstKey, cut.EndKey, null);
            return;
        }

        long first = cut.FirstKey + (long)part * FewQueriesKernel<TVector, TOperations>.PartKeys;
        int endKey = (int)Math.Min(first + FewQueriesKernel<TVector, TOperations>.PartKeys, cut.EndKey);
        _kernel.Attend(memory, null, batch, head, rowBlock, (int)first, endKey, StatesOf(item));
        long firstOfBlock = _starts[batch] + head * cut.HeadItems + rowBlock;
        if (Interlocked.Increment(ref _counters[firstOfBlock - _firstItem]) == cut.Parts)
            Merge(memory, batch, head, rowBlock, firstOfBlock, cut);
    }

    private void Merge(float* memory, int batch, int head, int rowBlock, long firstItem, in SequenceParts cut)
    {
        var states = new SplitStates(
            _context.Signature.ValueHeadSize, StatesOf(firstItem), cut.RowBlocks * _schedule.StateSize, cut.Parts);
        int firstRow = rowBlock * FewQueriesKernel<TVector, TOperations>.MaxRows;
        int rows = Math.Min(FewQueriesKernel<TVector, TOperations>.MaxRows, _context.Signature.GroupSize * cut.Queries - firstRow);
        for (int row = 0; row < rows; row++)
        {
            int queryHead = head * _context.Signature.GroupSize + (firstRow + row) / cut.Queries;
            _merged.Write(
                states, row, batch, queryHead, (firstRow + row) % cut.Queries, memory + _schedule.MergeOffset,
                memory + _schedule.PreciseOffset);
        }
    }

    private float* StatesOf(long item) => _states + (item - _firstItem) * _schedule.StateSize;

    // Counts the items, and where each batch entry's begin.
    private long Count()
    {
        long items = 0;
        int batches = _context.Extent.Batch;
        for (int batch = 0; batch < batches; batch++)
        {
            _starts[batch] = items;
            items += Cut(batch).HeadItems * _context.Extent.KeyValueHeads;
        }

        _starts[batches] = items;
        return items;
    }

    // As many items as there are states for, up to the end of a head.
    private long RoundEnd(long items)
    {
        long end = _firstItem + _schedule.RoundItems;
        if (end >= items)
            return items;
        int batch = BatchOf(end);
        return end - (end - _starts[batch]) % Cut(batch).HeadItems;
    }

    // The last batch entry that begins at the item or before: those before it without items begin there too.
    private int BatchOf(long item)
    {
        (int low, int high) = (0, _context.Extent.Batch);
        while (high - low > 1)
        {
            int middle = (low + high) >>> 1;
            if (_starts[middle] <= item)
                low = middle;
            else
                high = middle;
        }

        return low;
    }

    private SequenceParts Cut(int batch)
    {
        Sequence sequence = _context.SequenceOf(batch);
        if (!FewQueriesSchedule<TVector, TOperations>.AreFew(sequence.QueryLength) || sequence.QueryLength == 0)
            return default;

        // Of the keys that any query sees.
        int firstKey = _context.Bounds.FirstKey(sequence, 0);
        int endKey = Math.Max(firstKey, _context.Bounds.EndKey(sequence, sequence.QueryLength - 1));
        return new SequenceParts(
            sequence.QueryLength, firstKey, endKey, FewQueriesSchedule<TVector, TOperations>.Parts(endKey - firstKey),
            FewQueriesKernel<TVector, TOperations>.RowBlocks(_context.Signature.GroupSize * sequence.QueryLength));
    }

    /// <summary>How a sequence is cut; it has no items where its queries are not few.</summary>
    private readonly record struct SequenceParts(int Queries, int FirstKey, int EndKey, int Parts, int RowBlocks)
    {
        /// <summary>Items of a key/value head.</summary>
        public long HeadItems => (long)Parts * RowBlocks;
    }
}
