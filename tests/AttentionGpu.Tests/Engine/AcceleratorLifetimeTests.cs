using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Memory;
using AttentionGpu.Tests.Support;
using ILGPU;

namespace AttentionGpu.Tests.Engine;

/// <summary>The end of a backend that ILGPU drives.</summary>
public class AcceleratorLifetimeTests
{
    [Fact]
    public void Disposal_frees_the_device_and_what_comes_later_is_refused()
    {
        Context context = AcceleratorDevices.CreateContext();
        var backend = new AcceleratorBackend(Engines.Get(AcceleratorDevices.EmulatorName).Device, context, TileChoice.For);
        DeviceMemory memory = backend.Memory.Rent(100);
        Assert.False(context.IsDisposed);
        backend.Dispose();
        Assert.True(context.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => backend.Memory.Rent(100));
        Assert.Throws<ObjectDisposedException>(() => backend.Memory.Download(memory, new byte[4]));

        // A tensor may outlive its engine.
        backend.Memory.Return(memory);
        backend.Dispose();
    }
}
