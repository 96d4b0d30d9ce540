using AttentionGpu.KeyValueCaches;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Rows that are kept elsewhere for a while, or moved.</content>
public sealed partial class KeyValueSequence
{
    private HostRows? _spilled;

    /// <summary>Whether its rows are in host memory, and it has no place in the cache.</summary>
    public bool IsSpilled => _spilled is not null;

    /// <summary>Bytes of host memory that its rows take; 0 where it is not spilled.</summary>
    public long SpilledBytes => _spilled?.ByteLength ?? 0;

    /// <summary>
    /// Moves its rows to host memory, so that its pages and its place are free for others. It can be restored, saved and disposed of then.
    /// Rows that it shares with other sequences stay theirs.
    /// </summary>
    /// <exception cref="InvalidOperationException">It is spilled already, or in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void Spill()
    {
        HostRows rows = Cache.Export(this);
        Cache.Change(this, () =>
        {
            if (Length != rows.Length)
                throw new InvalidOperationException("The sequence was changed by another call while it was spilled.");
            Cache.Unseat(this);
            _spilled = rows;
            return true;
        });
    }

    /// <summary>Brings its rows back to the device.</summary>
    /// <exception cref="InvalidOperationException">It is not spilled.</exception>
    /// <exception cref="KeyValueCacheFullException">There is no room for it. It stays spilled.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void Restore()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        HostRows rows = _spilled ?? throw new InvalidOperationException("The sequence is not spilled: its rows are in the cache.");
        Cache.Import(this, rows);
        _spilled = null;
    }

    /// <summary>Writes its rows in the safetensors format, as the cache stores them: exactly, and quantised where they are.</summary>
    /// <param name="stream">Where to. <see cref="KeyValueCache.Load"/> reads it.</param>
    /// <exception cref="ArgumentException">The stream cannot be written.</exception>
    /// <exception cref="InvalidOperationException">It is in a batch.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, its cache or its engine is disposed.</exception>
    public void Save(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanWrite)
            throw BadInput.Because(nameof(stream), "'stream' must be one that can be written (CanWrite).");
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        CacheFile.Write(stream, Cache, _spilled ?? Cache.Export(this));
    }

    /// <summary>A new sequence of another cache, of this engine or another, with the same rows.</summary>
    /// <param name="cache">A cache with the same layers, heads, sizes and element type; it may keep rows in another way.</param>
    /// <exception cref="ArgumentException">The cache has other rows, or would keep fewer.</exception>
    /// <exception cref="InvalidOperationException">The sequence is in a batch.</exception>
    /// <exception cref="KeyValueCacheFullException">The other cache has no room for it. Nothing is changed.</exception>
    /// <exception cref="ObjectDisposedException">The sequence, a cache or an engine is disposed.</exception>
    public KeyValueSequence CopyTo(KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(cache);
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        if (!cache.HasSameRows(Cache.Options))
        {
            throw BadInput.Because(
                nameof(cache),
                "'cache' must have the layers, heads, sizes and element type of the sequence's; "
                + $"they are {cache.Options}, not {Cache.Options}.");
        }

        if (cache.Misfit(Length, Dropped) is string reason)
            throw BadInput.Because(nameof(cache), $"'cache' cannot have the sequence: {reason}.");
        return cache.Import(new KeyValueSequence(cache), _spilled ?? Cache.Export(this));
    }
}
