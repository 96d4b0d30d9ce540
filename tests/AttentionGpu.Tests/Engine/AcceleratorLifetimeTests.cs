using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Memory;
using AttentionGpu.Tests.Support;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Tests.Engine;

/// <summary>The end of a backend that ILGPU drives.</summary>
public class AcceleratorLifetimeTests
{
    private static readonly DeviceInfo _device = Engines.Get(AcceleratorDevices.EmulatorName).Device;

    [Fact]
    public void Disposal_frees_the_device_and_what_comes_later_is_refused()
    {
        Context context = AcceleratorDevices.CreateContext(_device.Name);
        var backend = new AcceleratorBackend(_device, context, TileChoice.For);
        DeviceMemory memory = backend.Memory.Rent(100);
        Assert.False(context.IsDisposed);
        backend.Dispose();
        Assert.True(context.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => backend.Memory.Rent(100));
        Assert.Throws<ObjectDisposedException>(() => backend.Memory.Download(memory, new byte[4]));
        Assert.Throws<ObjectDisposedException>(() => backend.Memory.Upload(new byte[4], memory));
        Assert.Throws<ObjectDisposedException>(backend.Memory.Synchronize);
        Assert.Throws<ObjectDisposedException>(() => ContiguousProblem.Attention(1, 1, 1, 1).Run(backend, default));

        // A tensor may outlive its engine.
        backend.Memory.Return(memory);
        backend.Dispose();
    }

    [Fact]
    public void An_accelerator_of_the_callers_outlives_the_backend_and_gets_its_memory_back()
    {
        using Context context = AcceleratorDevices.CreateContext(_device.Name);
        using ILGPU.Runtime.Accelerator accelerator = AcceleratorDevices.Find(context, _device.Name).CreateAccelerator(context);
        var backend = new AcceleratorBackend(accelerator, long.MaxValue);
        Assert.Equal(_device, backend.Device);
        DeviceMemory free = backend.Memory.Rent(100);
        DeviceMemory kept = backend.Memory.Rent(200);
        backend.Memory.Return(free);
        AcceleratorRun.AssertComputes(backend);

        backend.Dispose();
        Assert.False(accelerator.IsDisposed);
        Assert.True(((MemoryBuffer)free.Owner!).IsDisposed);
        Assert.False(((MemoryBuffer)kept.Owner!).IsDisposed);
        backend.Memory.Return(kept);
        Assert.True(((MemoryBuffer)kept.Owner!).IsDisposed);
        using var next = new AcceleratorBackend(accelerator, long.MaxValue);
        AcceleratorRun.AssertComputes(next);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Disposal_waits_for_copies_and_compilations(bool copies)
    {
        using var held = new HeldThread();
        Context context = AcceleratorDevices.CreateContext(_device.Name);
        var backend = new AcceleratorBackend(
            _device, context, TileChoice.For, probe: copies ? new() { Synchronizing = held.Hold } : new() { Compiling = held.Hold });
        DeviceMemory memory = backend.Memory.Rent(4);
        Task work = Task.Run(() => Use(backend, memory, copies), TestContext.Current.CancellationToken);
        await held.UntilHeldAsync();
        Task disposal = Task.Run(backend.Dispose, TestContext.Current.CancellationToken);
        await Wait.UntilAsync(() => Record.Exception(backend.Memory.Synchronize) is ObjectDisposedException);
        Assert.False(context.IsDisposed);
        Assert.False(disposal.IsCompleted);
        held.Release();
        await work.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        await disposal.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        Assert.True(context.IsDisposed);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Other_threads_launch_while_one_copies_or_compiles(bool copies)
    {
        using var held = new HeldThread { IsArmed = false };
        using var backend = new AcceleratorBackend(
            _device, AcceleratorDevices.CreateContext(_device.Name), TileChoice.For,
            probe: copies ? new() { Synchronizing = held.Hold } : new() { Compiling = held.Hold });
        AcceleratorRun.AssertComputes(backend);
        DeviceMemory memory = backend.Memory.Rent(4);
        held.IsArmed = true;
        Task work = Task.Run(() => Use(backend, memory, copies), TestContext.Current.CancellationToken);
        await held.UntilHeldAsync();
        await Task.Run(() => AcceleratorRun.AssertComputes(backend), TestContext.Current.CancellationToken)
            .WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        Assert.False(work.IsCompleted);
        held.Release();
        await work.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
    }

    // A copy that waits, or a kernel that nothing else here needs.
    private static void Use(AcceleratorBackend backend, DeviceMemory memory, bool copies)
    {
        if (copies)
            backend.Memory.Download(memory, new byte[4]);
        else
            AcceleratorRun.PlanAnother(backend);
    }

    /// <summary>Holds the first thread that comes by until it is released; others pass.</summary>
    private sealed class HeldThread : IDisposable
    {
        private readonly ManualResetEventSlim _released = new();
        private int _held;

        public bool IsArmed { get; set; } = true;

        public void Hold()
        {
            if (IsArmed && Interlocked.Exchange(ref _held, 1) == 0)
                Assert.True(_released.Wait(Wait.Patience), "The thread was not released.");
        }

        public Task UntilHeldAsync() => Wait.UntilAsync(() => Volatile.Read(ref _held) != 0);

        public void Release() => _released.Set();

        public void Dispose() => _released.Dispose();
    }
}
