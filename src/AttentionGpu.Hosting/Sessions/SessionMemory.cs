using System.Security.Cryptography;

namespace AttentionGpu.Hosting.Sessions;

/// <summary>The rows of a session, for the scheduler's thread alone.</summary>
internal sealed class SessionMemory
{
    // Sessions that come from each other further down stand in the order in which they came.
    private const int DeepestPath = 16;

    private const int IdBytes = 16;

    private static long _last;

    /// <param name="session">The session.</param>
    /// <param name="parent">What it is a fork of; null for none.</param>
    public SessionMemory(AttentionSession session, SessionMemory? parent)
    {
        Session = session;
        long number = NewNumber();
        ReadOnlySpan<long> before = parent is null ? [] : parent.Path;
        Path = [.. before[..Math.Min(before.Length, DeepestPath - 1)], number];
    }

    public AttentionSession Session { get; }

    /// <summary>The rows; null before it is opened, and where they are lost or given back.</summary>
    public KeyValueSequence? Sequence { get; set; }

    /// <summary>Whether its rows are in host memory. May be asked from other threads.</summary>
    public bool IsSpilled => Sequence is { IsSpilled: true };

    /// <summary>When it was used: a number that grows with each use.</summary>
    public long LastUse { get; set; }

    /// <summary>Whether a batch that is being put together needs its rows.</summary>
    public bool IsPinned { get; set; }

    /// <summary>
    /// The numbers of what it was forked from, and its own last. In the order of these, sessions that share pages stand next to each other:
    /// the engine attends to rows that neighbours share once for all of them.
    /// </summary>
    public long[] Path { get; private set; }

    /// <summary>An id that nobody can guess.</summary>
    public static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(IdBytes));

    /// <summary>A number that nothing else has.</summary>
    public static long NewNumber() => Interlocked.Increment(ref _last);

    /// <summary>Moves a session that is no fork next to those that share a prefix with it.</summary>
    public void JoinFamily(long prefix)
    {
        if (Path.Length == 1)
            Path = [prefix, Path[0]];
    }
}
