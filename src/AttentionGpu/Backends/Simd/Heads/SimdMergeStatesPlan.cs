using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>Joins attention over parts of the keys on the host. Bound by memory.</summary>
internal sealed class SimdMergeStatesPlan : IPlan<MergeStatesExtent, MergeStatesBuffers>
{
    private readonly MergeStatesSignature _signature;
    private readonly int _threads;

    private IdleWork<MergeStatesWork> _idle;

    public SimdMergeStatesPlan(MergeStatesSignature signature, int threads)
    {
        _ = signature.Element.Size();
        _signature = signature;
        _threads = threads;
    }

    public long WorkspaceBytes(in MergeStatesExtent extent) =>
        extent.Rows == 0 ? 0 : MergeStatesWork.Workspace(_signature, extent, _threads).ByteLength;

    public void Execute(in MergeStatesExtent extent, in MergeStatesBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows == 0)
            return;
        MergeStatesWork work = _idle.Take() ?? new(_signature);
        work.Execute(MergeStatesWork.Workspace(_signature, extent, _threads), extent, buffers, workspace);
        _idle.Keep(work);
    }
}

/// <summary>The rows of a call.</summary>
internal sealed unsafe class MergeStatesWork(MergeStatesSignature signature) : WorkspaceWork
{
    // Of an element: a conversion, a multiply-add in float64.
    private const double OperationsPerElement = 4.0;

    private MergeStatesExtent _extent;
    private MergeStatesBuffers _buffers;

    /// <summary>A row as floats, and its sums in float64, for each thread.</summary>
    public static ThreadWorkspace Workspace(in MergeStatesSignature signature, in MergeStatesExtent extent, int threads) =>
        new(0, ParallelWork.Workers(extent.Rows, threads, Operations(signature, extent)), 3L * signature.ValueHeadSize);

    public void Execute(in ThreadWorkspace workspace, in MergeStatesExtent extent, in MergeStatesBuffers buffers, DeviceMemory memory)
    {
        _extent = extent;
        _buffers = buffers;
        Take(workspace, workspace.In(memory));
        Run(extent.Rows, Operations(signature, extent));
        _buffers = default;
    }

    // An element of a part: 1 load, 1 widening, 1 multiply-add in float64, 1 load and 1 store of the sums.
    protected override void Do(long item, float* memory)
    {
        (int batch, int head, int query) = _extent.Place(item);
        (int size, ElementType element) = (signature.ValueHeadSize, signature.Element);
        long sum = _extent.LogSumExp.Offset(batch, head, query);
        float* logSumExps = _buffers.LogSumExps.Pointer<float>() + sum;
        var merged = MergedRow.Of(_extent, logSumExps);
        long first = _extent.Output.Offset(batch, head, query);
        var sums = (double*)memory;
        float* row = memory + 2 * size;
        new Span<double>(sums, size).Clear();
        for (int part = 0; part < _extent.Parts; part++)
        {
            // A part in which the row sees no key takes no part, whatever stands there.
            double weight = merged.Weight(logSumExps[part * _extent.Rows]);
            if (weight == 0.0)
                continue;
            ElementRows.Load(
                ElementRows.Address(_buffers.Outputs, element, part * _extent.Rows * size + first), element, row, size);
            DoubleRows.AddProduct(sums, row, weight, size);
        }

        DoubleRows.Round(sums, 1.0, row, size);
        ElementRows.Store(row, ElementRows.Address(_buffers.Output, element, first), element, size);
        if (signature.HasLogSumExp)
            _buffers.LogSumExp.Pointer<float>()[sum] = (float)merged.LogSumExp;
    }

    private static double Operations(in MergeStatesSignature signature, in MergeStatesExtent extent) =>
        OperationsPerElement * extent.Parts * extent.Rows * signature.ValueHeadSize;
}
