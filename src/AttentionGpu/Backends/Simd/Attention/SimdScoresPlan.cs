using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>Attention on the host with its scores, or weights.</summary>
internal sealed class SimdScoresPlan<TVector, TOperations> : IPlan<AttentionExtent, AttentionBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly AttentionSignature _signature;
    private readonly int _threads;
    private readonly int _longestRun;

    private IdleWork<ScoresWork<TVector, TOperations>> _idle;

    /// <param name="signature">The signature, with scores.</param>
    /// <param name="threads">Most threads of a call.</param>
    /// <param name="longestRun">Most rows of keys or values that a kernel gets at once: tests cut runs where memory does not.</param>
    public SimdScoresPlan(AttentionSignature signature, int threads, int longestRun = int.MaxValue)
    {
        _ = signature.Element.Size();
        KeyValueView.Require(signature.KeyValue);
        _signature = signature;
        _threads = threads;
        _longestRun = longestRun;
    }

    public long WorkspaceBytes(in AttentionExtent extent) => extent.IsEmpty ? 0 : Workspace(extent).ByteLength;

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        ScoresWork<TVector, TOperations> work = _idle.Take() ?? new(_signature, _longestRun);
        work.Execute(Workspace(extent), extent, buffers, workspace);
        _idle.Keep(work);
    }

    private ThreadWorkspace Workspace(in AttentionExtent extent)
    {
        long items = ScoresWork<TVector, TOperations>.Items(_signature, extent);
        double operations = ScoresWork<TVector, TOperations>.Operations(_signature, extent);
        long slotSize = ScoresWork<TVector, TOperations>.SlotSize(_signature, extent);
        return new ThreadWorkspace(0, ParallelWork.Workers(items, _threads, operations), slotSize);
    }
}
