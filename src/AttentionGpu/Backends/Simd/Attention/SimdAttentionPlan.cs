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

    public long WorkspaceBytes(in AttentionExtent extent) => extent.IsEmpty ? 0 : Schedule(extent).Workspace.ByteLength;

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        AttentionWork<TVector, TOperations> work = _idle.Take() ?? new(_signature, _longestRun);
        work.Execute(Schedule(extent), extent, buffers, workspace);
        _idle.Keep(work);
    }

    /// <summary>How the threads share a call.</summary>
    internal AttentionSchedule<TVector, TOperations> Schedule(in AttentionExtent extent) => new(_signature, extent, _threads);
}
