using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends;

/// <summary>A backend that computes in the host's memory, on the caller's time: when a call returns, its work is done.</summary>
/// <param name="memoryLimit">Bytes that it may have.</param>
internal abstract class HostBackend(long memoryLimit) : IAttentionBackend
{
    private readonly HostPool _pool = new(memoryLimit);

    public abstract DeviceInfo Device { get; }

    public bool UsesHostMemory => true;

    public long BytesInUse => _pool.BytesInUse;

    public abstract IPlan<AttentionBuffers> Plan(AttentionProblem problem);

    public abstract IPlan<LinearBuffers> Plan(LinearProblem problem);

    public abstract IPlan<HeadTransformBuffers> Plan(HeadTransform problem);

    public virtual int WeightPanelRows => 0;

    public virtual void PanelWeight(DeviceMemory weight, int rows, int depth)
    {
    }

    public DeviceMemory Rent(long byteLength) => _pool.Rent(byteLength);

    public void Return(DeviceMemory memory) => _pool.Return(memory);

    public unsafe void Upload(ReadOnlySpan<byte> source, DeviceMemory target) =>
        source.CopyTo(new Span<byte>(target.Pointer<byte>(), checked((int)target.ByteLength)));

    public unsafe void Download(DeviceMemory source, Span<byte> target) =>
        new ReadOnlySpan<byte>(source.Pointer<byte>(), target.Length).CopyTo(target);

    public void Synchronize()
    {
    }

    public void Dispose()
    {
    }
}
