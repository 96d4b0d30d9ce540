using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>A linear layer on the host, with sums in float32.</summary>
internal sealed class SimdLinearPlan<TVector, TOperations> : IPlan<LinearExtent, LinearBuffers>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private readonly LinearSignature _signature;
    private readonly int _threads;

    private IdleWork<LinearWork<TVector, TOperations>> _idle;

    public SimdLinearPlan(LinearSignature signature, int threads)
    {
        _ = signature.Element.Size();
        _signature = signature;
        _threads = threads;
    }

    public long WorkspaceBytes(in LinearExtent extent) => IsEmpty(extent) ? 0 : Schedule(extent).Workspace.ByteLength;

    public void Execute(in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        if (IsEmpty(extent))
            return;
        LinearWork<TVector, TOperations> work = _idle.Take() ?? new(_signature);
        work.Execute(Schedule(extent), extent, buffers, workspace);
        _idle.Keep(work);
    }

    private bool IsEmpty(in LinearExtent extent) => extent.Rows == 0 || _signature.Columns == 0;

    private LinearSchedule<TVector, TOperations> Schedule(in LinearExtent extent) => new(_signature, extent, _threads);
}
