namespace AttentionGpu.Hosting.Sessions;

/// <summary>Rows of a first step that were computed, and their outputs.</summary>
/// <param name="Number">What tells it from other prefixes and sessions.</param>
/// <param name="Rows">The rows.</param>
/// <param name="Hashes">Of the pages of its inputs.</param>
/// <param name="Outputs">The outputs of all rows.</param>
internal sealed record KeptPrefix(long Number, KeyValueSequence Rows, PrefixHash[] Hashes, byte[] Outputs);

/// <summary>
/// The prefixes of a layer that are kept, found by the hash of their pages; those that were of use last are kept longest.
/// </summary>
/// <param name="mostBytes">Bytes of outputs at most; 0 keeps none.</param>
internal sealed class PrefixStore(long mostBytes)
{
    private readonly Dictionary<PrefixHash, (KeptPrefix Prefix, int Pages)> _pages = [];
    private readonly LinkedList<KeptPrefix> _byUse = new();
    private long _bytes;
    private int _count;

    /// <summary>Prefixes that are kept. May be asked from other threads.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>The prefix that begins with the most of these pages, and how many; null where none begins with the first.</summary>
    public (KeptPrefix Prefix, int Pages)? Find(ReadOnlySpan<PrefixHash> hashes)
    {
        for (int i = hashes.Length - 1; i >= 0; i--)
        {
            if (!_pages.TryGetValue(hashes[i], out (KeptPrefix Prefix, int Pages) found))
                continue;
            Use(found.Prefix);
            return found;
        }

        return null;
    }

    /// <summary>Makes room for a prefix.</summary>
    /// <returns>Whether it is worth keeping: all of it is not kept yet, and is not too large.</returns>
    public bool MakeRoom(ReadOnlySpan<PrefixHash> hashes, long bytes)
    {
        if (hashes.IsEmpty || bytes > mostBytes || _pages.ContainsKey(hashes[^1]))
            return false;
        while (_bytes + bytes > mostBytes || _byUse.Count >= AttentionCacheOptions.MostPrefixes)
            TryEvict();
        return true;
    }

    /// <summary>Keeps a prefix, for which there must be room. Of two with the same first pages the later one is found.</summary>
    public void Add(KeptPrefix prefix)
    {
        for (int i = 0; i < prefix.Hashes.Length; i++)
            _pages[prefix.Hashes[i]] = (prefix, i + 1);
        _byUse.AddFirst(prefix);
        Volatile.Write(ref _count, _byUse.Count);
        _bytes += prefix.Outputs.Length;
    }

    /// <summary>Gives the rows of the prefix back that was of use longest ago; false where there is none.</summary>
    public bool TryEvict()
    {
        if (_byUse.Last?.Value is not { } oldest)
            return false;
        _byUse.RemoveLast();
        Volatile.Write(ref _count, _byUse.Count);
        foreach (PrefixHash hash in oldest.Hashes)
        {
            if (_pages.TryGetValue(hash, out (KeptPrefix Prefix, int Pages) found) && found.Prefix == oldest)
                _pages.Remove(hash);
        }

        _bytes -= oldest.Outputs.Length;
        oldest.Rows.Dispose();
        return true;
    }

    public void Clear()
    {
        while (TryEvict())
        {
        }
    }

    private void Use(KeptPrefix prefix)
    {
        _byUse.Remove(prefix);
        _byUse.AddFirst(prefix);
    }
}
