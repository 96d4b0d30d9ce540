using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Plain loops in float64 on the caller's thread: the yardstick that every other backend is tested against.</summary>
internal sealed class ReferenceBackend : IAttentionBackend
{
    private readonly HostPool _pool = new();

    public static DeviceInfo Info { get; } = new()
    {
        Name = "reference",
        Kind = DeviceKind.Reference,
        Description = "float64, plain loops, one thread",
        Multiprocessors = 1,
        WarpSize = 1,
        MaxGroupSize = 1,
    };

    public DeviceInfo Device => Info;

    public bool UsesHostMemory => true;

    public IPlan<AttentionBuffers> Plan(AttentionProblem problem) => new ReferenceAttentionPlan(problem);

    public IPlan<LinearBuffers> Plan(LinearProblem problem) => new ReferenceLinearPlan(problem);

    public DeviceMemory Rent(long byteLength) => _pool.Rent(byteLength);

    public void Return(DeviceMemory memory) => _pool.Return(memory);

    public void Upload(ReadOnlySpan<byte> source, DeviceMemory target) => HostPool.Copy(source, target);

    public void Download(DeviceMemory source, Span<byte> target) => HostPool.Copy(source, target);

    public void Synchronize()
    {
    }

    public void Dispose()
    {
    }
}
