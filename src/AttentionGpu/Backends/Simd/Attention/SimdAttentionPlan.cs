using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Attention on the host without its weights.</summary>
internal sealed class SimdAttentionPlan<TVector, TOperations> : IPlan<AttentionExtent, AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly AttentionSignature _signature;
    private readonly int _threads;
    private readonly int _longestRun;

    private IdleWork<AttentionWork<TVector, TOperations>> _idle;
    private IdleWork<FewQueriesWork<TVector, TOperations>> _idleOfFew;

    /// <param name="signature">The signature, without scores.</param>
    /// <param name="threads">Most threads of a call.</param>
    /// <param name="longestRun">Most rows of keys or values that a kernel gets at once: tests cut runs where memory does not.</param>
    public SimdAttentionPlan(AttentionSignature signature, int threads, int longestRun = int.MaxValue)
    {
        _ = signature.Element.Size();
        KeyValueView.Require(signature.KeyValue);
        _signature = signature;
        _threads = threads;
        _longestRun = longestRun;
    }

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        if (extent.IsEmpty)
            return 0;
        long bytes = HasMany(extent) ? Schedule(extent).Workspace.ByteLength : 0;
        return MayHaveFew(extent) ? Math.Max(bytes, ScheduleOfFew(extent).Workspace.ByteLength) : bytes;
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        if (HasMany(extent))
        {
            AttentionWork<TVector, TOperations> work = _idle.Take() ?? new(_signature, _longestRun);
            work.Execute(Schedule(extent), extent, buffers, workspace);
            _idle.Keep(work);
        }

        if (HasFew(extent, buffers))
        {
            FewQueriesWork<TVector, TOperations> work = _idleOfFew.Take() ?? new(_signature, _longestRun);
            work.Execute(ScheduleOfFew(extent), extent, buffers, workspace);
            _idleOfFew.Keep(work);
        }
    }

    /// <summary>How the threads share the sequences of many queries.</summary>
    internal AttentionSchedule<TVector, TOperations> Schedule(in AttentionExtent extent) => new(_signature, extent, _threads);

    // How they share those of few.
    private FewQueriesSchedule<TVector, TOperations> ScheduleOfFew(in AttentionExtent extent) => new(_signature, extent, _threads);

    private static bool HasMany(in AttentionExtent extent) => !FewQueriesSchedule<TVector, TOperations>.AreFew(extent.QueryLength);

    private bool MayHaveFew(in AttentionExtent extent) => _signature.HasSequences || !HasMany(extent);

    private bool HasFew(in AttentionExtent extent, in AttentionBuffers buffers)
    {
        if (!HasMany(extent) || !_signature.HasSequences)
            return !HasMany(extent);
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            int queries = buffers.SequenceOf(_signature, extent, batch).QueryLength;
            if (queries > 0 && FewQueriesSchedule<TVector, TOperations>.AreFew(queries))
                return true;
        }

        return false;
    }
}
