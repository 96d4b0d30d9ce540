namespace AttentionGpu.Service;

/// <summary>
/// The memory that all requests may hold at once. A request has a lease, which grows with what it holds. A quarter of the memory is for
/// the first <see cref="SmallBytes"/> of short requests' leases, so that long requests, however many, leave room for short ones.
/// </summary>
internal sealed class MemoryBudget(ServiceLimits limits)
{
    public const int SmallBytes = 512 << 10;

    private readonly long _smallLimit = limits.MaxMemoryBytes / 4;
    private readonly long _largeLimit = limits.MaxMemoryBytes - limits.MaxMemoryBytes / 4;
    private long _small;
    private long _large;
    private long _largeEver;

    /// <summary>The bytes that are held now.</summary>
    public long UsedBytes => Interlocked.Read(ref _small) + LargeBytes;

    /// <summary>The bytes of long requests that are held now.</summary>
    public long LargeBytes => Interlocked.Read(ref _large);

    /// <summary>All such bytes that were ever held.</summary>
    public long LargeBytesEver => Interlocked.Read(ref _largeEver);

    /// <summary>The most that one lease can have.</summary>
    public long LeaseLimit => _largeLimit;

    /// <summary>A lease of no bytes.</summary>
    /// <param name="bodyBytes">The bytes of the request's body as it says; null where it does not.</param>
    public MemoryLease Open(long? bodyBytes) => new(this, bodyBytes > SmallBytes ? 0 : SmallBytes);

    internal bool TryTake(long small, long large)
    {
        if (!TryAdd(ref _small, small, _smallLimit))
            return false;
        if (TryAdd(ref _large, large, _largeLimit))
        {
            Interlocked.Add(ref _largeEver, large);
            return true;
        }

        Interlocked.Add(ref _small, -small);
        return false;
    }

    internal void Return(long small, long large)
    {
        Interlocked.Add(ref _small, -small);
        Interlocked.Add(ref _large, -large);
    }

    internal BusyException Full() => new(
        $"Requests hold as much memory as they may: MaxMemoryBytes is {limits.MaxMemoryBytes}. Try again later.");

    private static bool TryAdd(ref long used, long bytes, long limit)
    {
        if (Interlocked.Add(ref used, bytes) <= limit || bytes == 0)
            return true;
        Interlocked.Add(ref used, -bytes);
        return false;
    }
}

/// <summary>What one request holds. Not for several threads at once.</summary>
internal sealed class MemoryLease(MemoryBudget budget, long smallBytes) : IDisposable
{
    private long _bytes;

    /// <summary>Takes more.</summary>
    /// <exception cref="BusyException">The others hold too much. The lease is as it was.</exception>
    /// <exception cref="BadHttpRequestException">No request may hold as much.</exception>
    public void Grow(long bytes)
    {
        long more = _bytes + bytes;
        if (more > budget.LeaseLimit)
        {
            throw new BadHttpRequestException(
                $"The request needs {more} bytes of memory; at most {budget.LeaseLimit} may be held for one.",
                StatusCodes.Status413PayloadTooLarge);
        }

        if (!budget.TryTake(Small(more) - Small(_bytes), Large(more) - Large(_bytes)))
            throw budget.Full();
        _bytes = more;
    }

    /// <summary>Gives some back.</summary>
    public void Shrink(long bytes)
    {
        long less = _bytes - bytes;
        budget.Return(Small(_bytes) - Small(less), Large(_bytes) - Large(less));
        _bytes = less;
    }

    /// <summary>Gives all back.</summary>
    public void Dispose() => Shrink(_bytes);

    private long Small(long bytes) => Math.Min(bytes, smallBytes);

    private long Large(long bytes) => bytes - Small(bytes);
}

/// <summary>There is no room for a request now.</summary>
internal sealed class BusyException(string message) : Exception(message);
