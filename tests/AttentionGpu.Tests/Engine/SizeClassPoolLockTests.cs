using AttentionGpu.Memory;

namespace AttentionGpu.Tests.Engine;

/// <summary>One lock guards a pool in all its calls.</summary>
public class SizeClassPoolLockTests
{
    private const int Threads = 4;
    private const int Rounds = 20_000;
    private const int Block = 1024;

    /// <summary>Calls that release blocks while they hold the lock.</summary>
    private static readonly Dictionary<string, Action<SizeClassPool<object>>> _holders = new()
    {
        ["clear"] = pool => pool.Clear(),
        ["rent that lets smaller blocks go"] = pool => pool.Rent(Block + 1),
        ["rent that needs the room of others"] = pool => pool.Rent(4 * Block),
    };

    /// <summary>Calls that need the lock.</summary>
    private static readonly Dictionary<string, Action<SizeClassPool<object>, object>> _contenders = new()
    {
        ["clear"] = (pool, _) => pool.Clear(),
        ["rent"] = (pool, _) => pool.Rent(0),
        ["return"] = (pool, block) => pool.Return(block, Block),
    };

    public static TheoryData<string, string> Meetings
    {
        get
        {
            var meetings = new TheoryData<string, string>();
            foreach (string holder in _holders.Keys)
            {
                foreach (string contender in _contenders.Keys)
                    meetings.Add(holder, contender);
            }

            return meetings;
        }
    }

    [Theory]
    [MemberData(nameof(Meetings))]
    public void A_call_waits_for_one_that_changes_the_pool(string holder, string contender)
    {
        bool waited = false;
        SizeClassPool<object>? pool = null;
        object? inUse = null;
        Thread? thread = null;
        pool = new SizeClassPool<object>(_ => new object(), _ =>
        {
            if (thread is not null)
                return;
            thread = new Thread(() => Record.Exception(() => _contenders[contender](pool!, inUse!)));
            thread.Start();
            waited = Waits(thread);
        }, limit: 5 * Block);
        inUse = pool.Rent(Block);
        pool.Return(pool.Rent(Block), Block);
        _holders[holder](pool);
        thread!.Join();
        Assert.True(waited, $"'{contender}' did not wait for '{holder}'.");
    }

    [Fact]
    public void An_allocation_that_fails_waits_for_the_lock_before_it_is_taken_back()
    {
        // The thread counts as waiting only for the lock: everywhere else it spins.
        bool waited = false;
        int step = 0;
        Thread? thread = null;
        var pool = new SizeClassPool<object>(
            size =>
            {
                if (size == Block)
                    return new object();
                Reach(ref step, 1);
                Await(ref step, 2);
                Reach(ref step, 3);
                throw new InvalidOperationException("There is no memory.");
            },
            _ =>
            {
                Reach(ref step, 2);
                Await(ref step, 3);
                waited = Waits(thread!);
            });
        pool.Return(pool.Rent(Block), Block);
        thread = new Thread(() => Record.Exception(() => pool.Rent(8 * Block)));
        thread.Start();
        Await(ref step, 1);
        pool.Clear();
        thread.Join();
        Assert.True(waited, "Bytes of the failed allocation went back while another call held the lock.");
        Assert.Equal(0, pool.BytesInUse);

        static void Reach(ref int step, int reached) => Volatile.Write(ref step, reached);

        static void Await(ref int step, int awaited)
        {
            while (Volatile.Read(ref step) < awaited)
                Thread.Yield();
        }
    }

    [Fact]
    public void Threads_never_have_the_same_block_and_all_bytes_come_back()
    {
        int shared = 0;
        var pool = new SizeClassPool<Owned>(size => new Owned { Bytes = size }, _ => { });
        var failures = new List<Exception>();
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(index => new Thread(() => Work(index)))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Empty(failures);
        Assert.Equal(0, shared);
        Assert.Equal(0, pool.BytesInUse);

        void Work(int index)
        {
            try
            {
                for (int round = 0; round < Rounds; round++)
                {
                    Owned block = pool.Rent(Block * (1 + (index + round) % 3));
                    if (Interlocked.Increment(ref block.Owners) != 1)
                        Interlocked.Increment(ref shared);
                    Interlocked.Decrement(ref block.Owners);
                    pool.Return(block, block.Bytes);
                }
            }
            catch (Exception exception)
            {
                lock (failures)
                    failures.Add(exception);
            }
        }
    }

    /// <summary>Whether a thread comes to wait; not if it ends.</summary>
    private static bool Waits(Thread thread)
    {
        var spin = default(SpinWait);
        while (thread.IsAlive)
        {
            if (thread.ThreadState.HasFlag(ThreadState.WaitSleepJoin))
                return true;
            spin.SpinOnce();
        }

        return false;
    }

    private sealed class Owned
    {
        public int Owners;

        public required long Bytes { get; init; }
    }
}
