using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Host;

/// <summary>A backend that computes in the host's memory, on the caller's time: when a call returns, its work is done.</summary>
/// <param name="device">The device.</param>
/// <param name="memoryLimit">Bytes that it may have.</param>
internal abstract class HostBackend(DeviceInfo device, long memoryLimit) : IBackend, IOperators
{
    private readonly HostMemory _memory = new(device.Name, memoryLimit);

    public DeviceInfo Device => device;

    public IDeviceMemory Memory => _memory;

    public IOperators Operators => this;

    /// <summary>The operators; a backend adds its own when it is made.</summary>
    protected OperatorTable Table { get; } = new();

    public virtual int PanelRows(ElementType element) => 0;

    public IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct => Table.Plan<TSignature, TExtent, TBuffers>(signature);

    public void Dispose() => _memory.Dispose();
}
