using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>Copies rows on the host, and normalises, rotates and converts them on the way. Bound by memory.</summary>
internal sealed class SimdHeadTransformPlan : IPlan<HeadTransformExtent, HeadTransformBuffers>
{
    private readonly HeadTransformSignature _signature;
    private readonly int _threads;

    private IdleWork<HeadTransformWork> _idle;

    public SimdHeadTransformPlan(HeadTransformSignature signature, int threads)
    {
        _ = signature.Element.Size();
        KeyValueView.Require(signature.Target);
        _signature = signature;
        _threads = threads;
    }

    public long WorkspaceBytes(in HeadTransformExtent extent) => extent.IsEmpty ? 0 : Workspace(extent).ByteLength;

    public void Execute(in HeadTransformExtent extent, in HeadTransformBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        HeadTransformWork work = _idle.Take() ?? new(_signature);
        work.Execute(Workspace(extent), extent, buffers, workspace);
        _idle.Keep(work);
    }

    private ThreadWorkspace Workspace(in HeadTransformExtent extent)
    {
        double operations = HeadTransformWork.Operations(_signature, extent);
        return new ThreadWorkspace(0, ParallelWork.Workers((long)extent.Batch * extent.Heads, _threads, operations), _signature.Size);
    }
}
