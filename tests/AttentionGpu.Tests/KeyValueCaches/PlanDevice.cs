using System.Runtime.InteropServices;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>A device that ILGPU drives, with the memory of one plan after another; under the names of <see cref="Engines"/>.</summary>
internal sealed class PlanDevice : IDisposable
{
    private const string Processor = " processor";
    private const string Tiled = " tiled";

    private readonly AcceleratorBackend _backend;
    private readonly List<DeviceMemory> _rented = [];

    public PlanDevice(string name)
    {
        bool processor = name.EndsWith(Processor, StringComparison.Ordinal);
        bool tiled = name.EndsWith(Tiled, StringComparison.Ordinal);
        DeviceInfo device = Engines.Get(processor || tiled ? name[..name.LastIndexOf(' ')] : name).Device;
        _backend = new AcceleratorBackend(
            device, AcceleratorDevices.CreateContext(device.Name),
            accelerator => processor || tiled ? TileChoice.For(accelerator) with { Processor = processor } : TileChoice.For(accelerator));
    }

    /// <summary>Bytes of workspace of the last plan that ran.</summary>
    public long WorkspaceBytes { get; private set; }

    public void Dispose() => _backend.Dispose();

    /// <summary>Memory with the given contents, until the plan has run.</summary>
    public DeviceMemory Upload<T>(params ReadOnlySpan<T> values)
        where T : unmanaged
    {
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values);
        DeviceMemory memory = _backend.Memory.Rent(Math.Max(1, bytes.Length));
        _backend.Memory.Upload(bytes, memory);
        _rented.Add(memory);
        return memory;
    }

    /// <summary>Memory full of not-a-number.</summary>
    public DeviceMemory Poisoned(long bytes)
    {
        var values = new byte[Math.Max(1, bytes)];
        Array.Fill(values, byte.MaxValue);
        return Upload<byte>(values);
    }

    public byte[] Download(DeviceMemory memory)
    {
        var bytes = new byte[memory.ByteLength];
        _backend.Memory.Download(memory, bytes);
        return bytes;
    }

    /// <summary>Runs a plan, with a workspace full of not-a-number.</summary>
    public void Run<TSignature, TExtent, TBuffers>(TSignature signature, TExtent extent, TBuffers buffers)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        IPlan<TExtent, TBuffers> plan = _backend.Operators.Plan<TSignature, TExtent, TBuffers>(signature);
        WorkspaceBytes = plan.WorkspaceBytes(extent);
        plan.Execute(extent, buffers, WorkspaceBytes == 0 ? default : Poisoned(WorkspaceBytes));
    }

    /// <summary>Gives back what the plan had.</summary>
    public void Free()
    {
        _rented.ForEach(_backend.Memory.Return);
        _rented.Clear();
        Assert.Equal(0, _backend.Memory.BytesInUse);
    }
}
