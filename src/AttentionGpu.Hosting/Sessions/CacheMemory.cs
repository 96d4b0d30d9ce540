namespace AttentionGpu.Hosting.Sessions;

/// <summary>
/// The cache of a layer's sessions. All but the numbers for metrics is for the scheduler's thread alone, so that nothing changes between
/// the looks and the acts of one call.
/// </summary>
/// <param name="layer">The layer's name.</param>
/// <param name="options">The options.</param>
/// <param name="cache">The cache on the device in use; its owner disposes of it.</param>
internal sealed class CacheMemory(string layer, AttentionCacheOptions options, KeyValueCache cache)
{
    private readonly List<SessionMemory> _sessions = [];
    private readonly PrefixStore _prefixes = new(options.PrefixBytes);
    private volatile KeyValueCache _cache = cache;
    private long _clock;
    private int _spilled;
    private long _spilledBytes;

    public long ByteLength => _cache.ByteLength;

    public int FreePages => _cache.FreePages;

    public int PagesInUse => _cache.PagesInUse;

    public int Spilled => Volatile.Read(ref _spilled);

    public int Prefixes => _prefixes.Count;

    public long SpilledBytes => Interlocked.Read(ref _spilledBytes);

    /// <summary>Gives a session rows of its own: none yet.</summary>
    /// <exception cref="AttentionCacheFullException">There is no room.</exception>
    public void Open(SessionMemory session) => Seat(session, WithRoom(_cache.Open));

    /// <summary>Gives a session the first rows of another.</summary>
    /// <exception cref="AttentionCacheFullException">There is no room.</exception>
    public void Fork(SessionMemory parent, SessionMemory child, int length)
    {
        parent.IsPinned = true;
        try
        {
            KeyValueSequence source = Restore(parent);
            Seat(child, WithRoom(() => source.Fork(length)));
        }
        finally
        {
            parent.IsPinned = false;
        }
    }

    /// <summary>Takes rows back; those in host memory are taken back when they are on the device again.</summary>
    public static void Truncate(SessionMemory session, int length)
    {
        if (session.Sequence is { IsSpilled: false } sequence && sequence.Length > length)
            sequence.Truncate(length);
    }

    /// <summary>Makes room for the tokens of steps, and begins the layer's call.</summary>
    /// <param name="sessions">A session of each step.</param>
    /// <param name="starts">The rows that each session has before its step; what it has more is taken back.</param>
    /// <param name="lengths">Tokens of each step.</param>
    /// <exception cref="AttentionCacheFullException">There is no room for all of them. Nothing is written.</exception>
    /// <exception cref="AttentionSessionEndedException">The rows of a session are lost.</exception>
    public KeyValueBatch Append(SessionMemory[] sessions, int[] starts, int[] lengths)
    {
        foreach (SessionMemory session in sessions)
            session.IsPinned = true;
        try
        {
            var sequences = new KeyValueSequence[sessions.Length];
            for (int i = 0; i < sessions.Length; i++)
            {
                sequences[i] = Restore(sessions[i]);
                Truncate(sessions[i], starts[i]);
            }

            return WithRoom(() => _cache.Append(sequences, lengths));
        }
        finally
        {
            foreach (SessionMemory session in sessions)
                session.IsPinned = false;
        }
    }

    /// <summary>Gives a session without rows those of the longest prefix that is kept.</summary>
    /// <param name="session">The session.</param>
    /// <param name="hashes">Of the pages of its first step.</param>
    /// <returns>The prefix's outputs, and how many pages of them are the session's; null where none is kept.</returns>
    public (byte[] Outputs, int Pages)? TakePrefix(SessionMemory session, PrefixHash[] hashes)
    {
        if (session.Sequence is not { } empty || _prefixes.Find(hashes) is not (KeptPrefix prefix, int pages))
            return null;

        // Shares pages, and takes the place in the table that the session had: it cannot be full.
        Uncount(session);
        empty.Dispose();
        session.Sequence = null;
        session.Sequence = prefix.Rows.Fork(pages * options.PageRows);
        session.JoinFamily(prefix.Number);
        return (prefix.Outputs, pages);
    }

    /// <summary>Keeps the first rows of a session for others, where they are not kept yet and its rows are on the device.</summary>
    /// <param name="session">The session.</param>
    /// <param name="hashes">Of the pages.</param>
    /// <param name="outputs">Of the pages' tokens.</param>
    public void KeepPrefix(SessionMemory session, PrefixHash[] hashes, byte[] outputs)
    {
        int rows = hashes.Length * options.PageRows;
        if (session.Sequence is not { IsSpilled: false } sequence || sequence.Length < rows || !_prefixes.MakeRoom(hashes, outputs.Length))
            return;
        var prefix = new KeptPrefix(SessionMemory.NewNumber(), sequence.Fork(rows), hashes, outputs);
        _prefixes.Add(prefix);
        session.JoinFamily(prefix.Number);
    }

    /// <summary>Gives a session's rows back.</summary>
    public void Release(SessionMemory session)
    {
        _sessions.Remove(session);
        Uncount(session);
        session.Sequence?.Dispose();
        session.Sequence = null;
    }

    /// <summary>
    /// Copies all rows that can be read to another cache: those in host memory while there is room to pass them through, then those used
    /// last.
    /// </summary>
    /// <returns>The sessions whose rows are lost.</returns>
    public IReadOnlyList<AttentionSession> Move(KeyValueCache cache)
    {
        List<AttentionSession> lost = [];
        _prefixes.Clear();
        _cache = cache;
        SessionMemory[] sessions =
            [.. _sessions.OrderByDescending(session => session.IsSpilled).ThenByDescending(session => session.LastUse)];
        foreach (SessionMemory session in sessions)
        {
            KeyValueSequence before = session.Sequence!;
            Uncount(session);
            session.Sequence = null;
            try
            {
                KeyValueSequence moved = WithRoom(() => before.CopyTo(cache));
                session.Sequence = moved;
                if (before.IsSpilled)
                    Spill(session);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                // Its device may not answer any more.
                session.Sequence?.Dispose();
                session.Sequence = null;
                _sessions.Remove(session);
                lost.Add(session.Session);
            }
        }

        return lost;
    }

    private void Seat(SessionMemory session, KeyValueSequence sequence)
    {
        session.Sequence = sequence;
        session.LastUse = ++_clock;
        _sessions.Add(session);
    }

    private KeyValueSequence Restore(SessionMemory session)
    {
        KeyValueSequence sequence = session.Sequence
            ?? throw new AttentionSessionEndedException(
                session.Session.Id, "its rows have been given back, or were lost with their device");
        if (sequence.IsSpilled)
        {
            long bytes = sequence.SpilledBytes;
            WithRoom(() =>
            {
                sequence.Restore();
                return true;
            });
            Count(-1, -bytes);
        }

        session.LastUse = ++_clock;
        return sequence;
    }

    // Frees what is needed least until there is room: prefixes that may be of use, then sessions, if they may move to host memory.
    private TResult WithRoom<TResult>(Func<TResult> attempt)
    {
        while (true)
        {
            try
            {
                return attempt();
            }
            catch (KeyValueCacheFullException exception)
            {
                if (_prefixes.TryEvict())
                    continue;
                string missing = exception.Message.TrimEnd('.');
                if (options.WhenFull == AttentionCachePolicy.Refuse)
                    throw new AttentionCacheFullException(layer, missing);
                if (!TrySpill())
                {
                    throw new AttentionCacheFullException(
                        layer,
                        $"{missing}, and no other session fits into what is left of the host memory for them, "
                        + $"{options.HostMemoryBytes - SpilledBytes} of {options.HostMemoryBytes} bytes "
                        + $"({nameof(options.HostMemoryBytes)})");
                }
            }
        }
    }

    private bool TrySpill()
    {
        long left = options.HostMemoryBytes - SpilledBytes;
        double rowBytes = (double)_cache.ByteLength / ((long)(_cache.FreePages + _cache.PagesInUse) * options.PageRows);
        SessionMemory? oldest = _sessions
            .Where(session => !session.IsPinned && session.Sequence is { IsSpilled: false } sequence && sequence.Cache == _cache
                && (sequence.Length > 0 || options.Kind == KeyValueCacheKind.Contiguous) && sequence.ResidentLength * rowBytes <= left)
            .MinBy(session => (session.Session.IsBusy, session.LastUse));
        if (oldest is null)
            return false;
        Spill(oldest);
        return true;
    }

    private void Spill(SessionMemory session)
    {
        session.Sequence!.Spill();
        Count(1, session.Sequence.SpilledBytes);
    }

    // Before the rows of a session are given up.
    private void Uncount(SessionMemory session)
    {
        if (session.Sequence is { IsSpilled: true } sequence)
            Count(-1, -sequence.SpilledBytes);
    }

    private void Count(int sessions, long bytes)
    {
        Volatile.Write(ref _spilled, _spilled + sessions);
        Interlocked.Add(ref _spilledBytes, bytes);
    }
}
