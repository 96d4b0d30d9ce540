using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;

namespace AttentionGpu.Tests.Engine;

public class WorkerPoolTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(30);

    // How long a thread stays in its work, for another one that should not have come, or gone, to show itself.
    private static readonly TimeSpan _stay = TimeSpan.FromMilliseconds(20);

    // A pool of this class's own, whose tests run one after another: nobody else has its helper, on a machine of any number of cores.
    private static readonly WorkerPool _pool = new(helpers: 1);

    [Fact]
    public void Every_item_is_done_once_by_all_threads_together()
    {
        for (int trial = 0; trial < 200; trial++)
        {
            int[] done = new int[trial];
            new Items(item => Interlocked.Increment(ref done[item])).Run(done.Length);
            Assert.All(done, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void Helpers_do_help()
    {
        for (int trial = 0; trial < 50; trial++)
            AssertHelps();
    }

    [Fact]
    public void Callers_at_the_same_time_do_not_wait_for_each_other()
    {
        // Each holds its call open until all have entered theirs.
        const int callers = 4;
        using var inside = new CountdownEvent(callers);
        int ownItems = 0;
        Thread[] threads =
        [
            .. Enumerable.Range(0, callers).Select(_ => new Thread(() =>
            {
                int caller = Environment.CurrentManagedThreadId;
                WorkerPool.Shared.Run(
                    new Doing(() =>
                    {
                        if (Environment.CurrentManagedThreadId != caller)
                            return;
                        Interlocked.Increment(ref ownItems);
                        inside.Signal();
                        inside.Wait(_limit);
                    }),
                    workers: 2);
            })),
        ];
        foreach (Thread thread in threads)
            thread.Start();
        Assert.True(inside.Wait(_limit, TestContext.Current.CancellationToken));
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Equal(callers, ownItems);
    }

    [Fact]
    public void A_failure_on_every_thread_reaches_the_caller_and_the_pool_lives()
    {
        for (int trial = 0; trial < 50; trial++)
        {
            Assert.Throws<InvalidOperationException>(
                () => _pool.Run(new Doing(() => throw new InvalidOperationException("on every thread")), workers: 4));
        }

        AssertHelps();
    }

    /// <summary>The caller goes on until the helper has failed: the failure is the helper's alone.</summary>
    [Fact]
    public void A_failure_of_a_helper_reaches_the_caller_and_the_pool_lives()
    {
        int caller = Environment.CurrentManagedThreadId;
        for (int trial = 0; trial < 20; trial++)
        {
            using var entered = new ManualResetEventSlim();
            var error = Assert.Throws<InvalidOperationException>(() => _pool.Run(
                new Doing(() =>
                {
                    if (Environment.CurrentManagedThreadId == caller)
                    {
                        Assert.True(entered.Wait(_limit));
                        return;
                    }

                    entered.Set();
                    throw new InvalidOperationException("of a helper");
                }),
                workers: 2));
            Assert.Equal("of a helper", error.Message);
            AssertHelps();
        }
    }

    /// <summary>The caller fails while a helper is at work: it hears of its failure when the helper is done, and not before.</summary>
    [Fact]
    public void A_failure_of_the_caller_waits_for_the_helpers()
    {
        int caller = Environment.CurrentManagedThreadId;
        for (int trial = 0; trial < 5; trial++)
        {
            using var entered = new ManualResetEventSlim();
            using var returned = new ManualResetEventSlim();
            int helped = 0;
            var error = Assert.Throws<InvalidOperationException>(() => _pool.Run(
                new Doing(() =>
                {
                    if (Environment.CurrentManagedThreadId == caller)
                    {
                        Assert.True(entered.Wait(_limit));
                        throw new InvalidOperationException("of the caller");
                    }

                    // A caller that does not wait is back before this ends.
                    entered.Set();
                    returned.Wait(_stay);
                    Volatile.Write(ref helped, 1);
                }),
                workers: 2));
            int helpedBefore = Volatile.Read(ref helped);
            returned.Set();
            Assert.Equal("of the caller", error.Message);
            Assert.Equal(1, helpedBefore);
            AssertHelps();
        }
    }

    /// <summary>Three helpers that are awake, and room for one: no more threads enter than were asked for.</summary>
    [Fact]
    public void No_more_threads_work_than_are_asked_for()
    {
        var pool = new WorkerPool(helpers: 3);
        int most = 0;
        for (int trial = 0; trial < 10; trial++)
        {
            using var entered = new CountdownEvent(2);
            int threads = 0;
            pool.Run(
                new Doing(() =>
                {
                    Interlocked.Increment(ref threads);
                    if (!entered.IsSet)
                        entered.Signal();
                    Assert.True(entered.Wait(_limit));
                    Thread.Sleep(_stay);
                }),
                workers: 2);
            most = Math.Max(most, threads);
        }

        Assert.Equal(2, most);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0)]
    public void One_worker_is_the_caller(int workers)
    {
        int calls = 0;
        int caller = Environment.CurrentManagedThreadId;
        _pool.Run(
            new Doing(() =>
            {
                Assert.Equal(caller, Environment.CurrentManagedThreadId);
                calls++;
            }),
            workers);
        Assert.Equal(1, calls);
    }

    [Fact]
    public void A_pool_without_helpers_works_on_the_callers_thread()
    {
        int calls = 0;
        new WorkerPool(helpers: 0).Run(new Doing(() => calls++), workers: 4);
        Assert.Equal(1, calls);
    }

    /// <summary>A plan's work throws its item's failure, gives its memory back, and takes items again.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    public void A_failing_item_reaches_the_caller_of_the_work(long failing)
    {
        var work = new WithMemory { Failing = failing };
        for (int trial = 0; trial < 20; trial++)
        {
            var error = Assert.Throws<InvalidOperationException>(work.Run);
            Assert.Equal($"item {failing}", error.Message);
        }

        work.Failing = -1;
        work.Run();
        Assert.Equal(WithMemory.Count, work.Done);
    }

    // A helper has to take part: the two meet.
    private static void AssertHelps()
    {
        using var both = new Barrier(2);
        int met = 0;
        _pool.Run(
            new Doing(() =>
            {
                if (both.SignalAndWait(_limit))
                    Interlocked.Increment(ref met);
            }),
            workers: 2);
        Assert.Equal(2, met);
    }

    private sealed unsafe class WithMemory : WorkspaceWork
    {
        public const int Count = 64;

        private const int Threads = 4;
        private const int SlotFloats = 16;

        private static readonly ThreadWorkspace _slots = new(0, Threads, SlotFloats);

        private readonly float[] _memory = GC.AllocateArray<float>((int)(_slots.ByteLength / sizeof(float)), pinned: true);
        private int _done;

        public WithMemory() => Take(_slots, (float*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_memory)));

        public long Failing { get; set; }

        public int Done => _done;

        public void Run()
        {
            _done = 0;
            Run(Count, operations: 1e9);
        }

        protected override void Do(long item, float* memory)
        {
            if (item == Failing)
                throw new InvalidOperationException($"item {item}");
            memory[SlotFloats - 1] = item;
            Interlocked.Increment(ref _done);
        }
    }

    private sealed class Doing(Action work) : ParallelWork
    {
        public override void Work() => work();
    }

    private sealed class Items(Action<long> work) : ParallelWork
    {
        public void Run(int count) => Run(count, threads: 8, operations: 1e9);

        public override void Work()
        {
            while (TryTake(out long item))
                work(item);
        }
    }
}
