using System.Collections.Concurrent;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using ILGPU;

namespace AttentionGpu.Tests.Engine;

/// <summary>Kernels that several threads need at the same time.</summary>
public class KernelLoaderTests
{
    private const int Threads = 4;

    private static readonly DeviceInfo _device = Engines.Get(AcceleratorDevices.EmulatorName).Device;

    [Fact]
    public async Task A_kernel_that_many_threads_need_is_compiled_once()
    {
        int compiled = 0;
        using var started = new CountdownEvent(Threads);
        using AcceleratorBackend backend = Create(() =>
        {
            // Until the others wait for this one, or compile it themselves.
            started.Wait(Wait.Patience);
            Interlocked.Increment(ref compiled);
        });
        await AtOnceAsync(_ =>
        {
            started.Signal();
            AcceleratorRun.PlanAnother(backend);
        });
        Assert.Equal(1, compiled);
        AcceleratorRun.PlanAnother(backend);
        Assert.Equal(1, compiled);
    }

    [Fact]
    public async Task Different_kernels_are_compiled_at_the_same_time()
    {
        const int kernels = 2;
        Assert.SkipWhen(KernelLoader.Compilations < kernels, "One processor compiles one kernel at a time.");
        using var both = new Barrier(kernels);
        using AcceleratorBackend backend = Create(() => Assert.True(both.SignalAndWait(Wait.Patience), "The other kernel has to wait."));
        ScoreVariants[] variants = [ScoreVariants.Softcap, ScoreVariants.Alibi];
        await AtOnceAsync(thread => AcceleratorRun.PlanAnother(backend, variants[thread]), kernels);
        Assert.Equal(1, both.CurrentPhaseNumber);
    }

    [Fact]
    public async Task No_more_kernels_are_compiled_at_once_than_the_loader_allows()
    {
        using var release = new ManualResetEventSlim();
        int compiling = 0;
        using AcceleratorBackend backend = Create(() =>
        {
            Interlocked.Increment(ref compiling);
            Assert.True(release.Wait(Wait.Patience), "The thread was not released.");
        });
        int allowed = KernelLoader.Compilations;
        Assert.InRange(allowed, 1, Environment.ProcessorCount);
        Task work = AtOnceAsync(thread => Plan(thread), allowed);
        await Wait.UntilAsync(() => Volatile.Read(ref compiling) == allowed);
        var another = new Thread(() => Plan(allowed));
        another.Start();
        await Wait.UntilAsync(
            () => another.ThreadState.HasFlag(ThreadState.WaitSleepJoin) || Volatile.Read(ref compiling) > allowed);
        Assert.Equal(allowed, Volatile.Read(ref compiling));
        release.Set();
        await work;
        Assert.True(another.Join(Wait.Patience), "The other thread has not ended.");
        Assert.Equal(allowed + 1, compiling);

        // A kernel of its own for each thread.
        void Plan(int thread) => AcceleratorRun.PlanAnother(
            backend, (ScoreVariants)(1 + thread / 6 % 3), (CausalKind)(thread % 3), hasWindow: thread / 3 % 2 == 1);
    }

    [Fact]
    public async Task A_failure_reaches_all_who_wait_and_the_next_one_compiles_again()
    {
        bool fails = true;
        using var started = new CountdownEvent(Threads);
        using AcceleratorBackend backend = Create(() =>
        {
            started.Wait(Wait.Patience);
            if (fails)
                throw new AcceleratorRefusal();
        });
        var failures = new ConcurrentBag<Exception>();
        await AtOnceAsync(_ =>
        {
            started.Signal();
            failures.Add(Assert.Throws<AcceleratorRefusal>(() => AcceleratorRun.PlanAnother(backend)));
        });
        Assert.Equal(Threads, failures.Count);
        fails = false;
        AcceleratorRun.PlanAnother(backend);
        AcceleratorRun.AssertComputes(backend);
    }

    [Fact]
    public async Task Disposal_waits_for_all_who_compile_and_all_who_wait()
    {
        using var release = new ManualResetEventSlim();
        using var started = new CountdownEvent(Threads);
        int compiling = 0;
        Context context = AcceleratorDevices.CreateContext(_device.Name);
        var backend = new AcceleratorBackend(_device, context, TileChoice.For, probe: new()
        {
            Compiling = () =>
            {
                Volatile.Write(ref compiling, 1);
                Assert.True(release.Wait(Wait.Patience), "The thread was not released.");
            },
        });
        Task work = AtOnceAsync(_ =>
        {
            started.Signal();
            AcceleratorRun.PlanAnother(backend);
        });
        await Wait.UntilAsync(() => Volatile.Read(ref compiling) != 0 && started.IsSet);
        Task disposal = Task.Run(backend.Dispose, TestContext.Current.CancellationToken);
        await Wait.UntilAsync(() => Record.Exception(backend.Memory.Synchronize) is ObjectDisposedException);
        Assert.False(context.IsDisposed);
        Assert.False(disposal.IsCompleted);
        release.Set();

        // Those who had not come to the gate are refused.
        Exception? refused = await Record.ExceptionAsync(() => work.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken));
        Assert.True(refused is null or ObjectDisposedException, $"{refused}");
        await disposal.WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);
        Assert.True(context.IsDisposed);
        Assert.Throws<ObjectDisposedException>(() => AcceleratorRun.PlanAnother(backend, ScoreVariants.Alibi));
    }

    private static AcceleratorBackend Create(Action compiling) => new(
        _device, AcceleratorDevices.CreateContext(_device.Name), TileChoice.For, probe: new() { Compiling = compiling });

    // Threads of their own: those of the pool may be too few to meet.
    private static Task AtOnceAsync(Action<int> run, int threads = Threads) => Task.WhenAll(Enumerable.Range(0, threads).Select(
            thread => Task.Factory.StartNew(
                () => run(thread), TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default)))
        .WaitAsync(Wait.Patience, TestContext.Current.CancellationToken);

    private sealed class AcceleratorRefusal : Exception;
}
