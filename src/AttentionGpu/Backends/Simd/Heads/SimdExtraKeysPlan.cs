using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>Joins extra keys to a finished attention on the host. Bound by memory.</summary>
internal sealed class SimdExtraKeysPlan(ExtraKeysSignature signature, int threads) : IPlan<ExtraKeysExtent, ExtraKeysBuffers>
{
    private IdleWork<ExtraKeysWork> _idle;

    public long WorkspaceBytes(in ExtraKeysExtent extent) =>
        extent.IsEmpty ? 0 : ExtraKeysWork.Workspace(signature, extent, threads).ByteLength;

    public void Execute(in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        ExtraKeysWork work = _idle.Take() ?? new(signature);
        work.Execute(ExtraKeysWork.Workspace(signature, extent, threads), extent, buffers, workspace);
        _idle.Keep(work);
    }
}
