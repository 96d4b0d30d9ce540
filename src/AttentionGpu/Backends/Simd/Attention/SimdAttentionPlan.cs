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
        long bytes = Schedule(extent).Workspace.ByteLength;
        return MayHaveBoth(extent) ? Math.Max(bytes, ScheduleOfFew(extent).Workspace.ByteLength) : bytes;
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        AttentionWork<TVector, TOperations> work = _idle.Take() ?? new(_signature, _longestRun);
        work.Execute(Schedule(extent), extent, buffers, workspace);
        if (MayHaveBoth(extent) && HasFew(extent, buffers))
            work.Execute(ScheduleOfFew(extent), extent, buffers, workspace);
        _idle.Keep(work);
    }

    /// <summary>How the threads share a call.</summary>
    internal AttentionSchedule<TVector, TOperations> Schedule(in AttentionExtent extent) =>
        new(_signature, extent, _threads, AttentionSchedule<TVector, TOperations>.AreFew(extent.QueryLength));

    // Of the sequences with few queries, beside those with more.
    private AttentionSchedule<TVector, TOperations> ScheduleOfFew(in AttentionExtent extent) =>
        new(_signature, extent, _threads, isFewQueries: true);

    private bool MayHaveBoth(in AttentionExtent extent) =>
        _signature is { BatchInvariant: true, HasSequences: true } && !AttentionSchedule<TVector, TOperations>.AreFew(extent.QueryLength);

    private bool HasFew(in AttentionExtent extent, in AttentionBuffers buffers)
    {
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            if (AttentionSchedule<TVector, TOperations>.AreFew(buffers.SequenceOf(_signature, extent, batch).QueryLength))
                return true;
        }

        return false;
    }
}
