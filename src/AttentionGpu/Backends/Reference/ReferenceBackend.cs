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
