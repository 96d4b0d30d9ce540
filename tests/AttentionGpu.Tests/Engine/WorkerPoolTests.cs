using System.Diagnostics;
using AttentionGpu.Backends.Simd.Threads;

namespace AttentionGpu.Tests.Engine;

public class WorkerPoolTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(30);

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
        Assert.SkipUnless(Environment.ProcessorCount > 1, "One core has no helpers.");

        // Two pieces of work that only finish together. Another caller may have the helpers at first: then it is tried again.
        long start = Stopwatch.GetTimestamp();
        bool met = false;
        while (!met && Stopwatch.GetElapsedTime(start) < _limit)
        {
            using var both = new Barrier(2);
            WorkerPool.Shared.Run(new Doing(() => met |= both.SignalAndWait(TimeSpan.FromMilliseconds(200))), workers: 2);
        }

        Assert.True(met);
    }

    [Fact]
    public void Callers_at_the_same_time_do_not_wait_for_each_other()
    {
        // Each holds its call open until all have entered theirs.
        const int callers = 4;
        using var inside = new CountdownEvent(callers);
        Thread[] threads =
        [
            .. Enumerable.Range(0, callers).Select(_ => new Thread(() =>
            {
                bool entered = false;
                int caller = Environment.CurrentManagedThreadId;
                WorkerPool.Shared.Run(
                    new Doing(() =>
                    {
                        if (Environment.CurrentManagedThreadId != caller)
                            return;
                        entered = true;
                        inside.Signal();
                        inside.Wait(_limit);
                    }),
                    workers: 2);
                Assert.True(entered);
            })),
        ];
        foreach (Thread thread in threads)
            thread.Start();
        Assert.True(inside.Wait(_limit, TestContext.Current.CancellationToken));
        foreach (Thread thread in threads)
            thread.Join();
    }

    [Fact]
    public void A_failure_reaches_the_caller_and_the_pool_lives()
    {
        for (int trial = 0; trial < 50; trial++)
        {
            Assert.Throws<InvalidOperationException>(
                () => WorkerPool.Shared.Run(new Doing(() => throw new InvalidOperationException("on every thread")), workers: 4));
        }

        Every_item_is_done_once_by_all_threads_together();
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
