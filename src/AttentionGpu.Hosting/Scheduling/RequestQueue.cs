using System.Diagnostics;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>
/// The requests that wait, bounded by their number, bytes and tokens, and the work that runs between batches. Callers add and withdraw; one
/// thread takes.
/// </summary>
internal sealed class RequestQueue(AttentionServiceOptions options)
{
    private readonly object _gate = new();
    private readonly FairQueue<ForwardRequest> _requests = new();
    private readonly Queue<QueuedWork> _works = new();
    private bool _isClosed;
    private long? _restStart;
    private bool _isIdle;

    /// <summary>Requests that wait.</summary>
    public int Depth
    {
        get
        {
            lock (_gate)
            {
                return _requests.Count;
            }
        }
    }

    /// <summary>Queues a request, unless it has ended already.</summary>
    /// <exception cref="AttentionOverloadedException">The queue has no place for it.</exception>
    /// <exception cref="ObjectDisposedException">The queue is closed.</exception>
    public void Add(ForwardRequest request)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isClosed, typeof(IAttentionService));
            if (!request.IsContinuation)
                RequirePlace(request);

            // One that is cancelled from now on withdraws, and waits for the gate.
            if (request.IsEnded)
                return;
            _requests.Add(request);
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Queues work, which is never too much.</summary>
    /// <exception cref="ObjectDisposedException">The queue is closed.</exception>
    public void Add(QueuedWork work)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isClosed, typeof(IAttentionService));
            _works.Enqueue(work);
            Monitor.Pulse(_gate);
        }
    }

    /// <summary>Gives the place of a request back, if it still has one.</summary>
    public void Withdraw(ForwardRequest request)
    {
        lock (_gate)
        {
            _requests.Remove(request);
        }
    }

    /// <summary>
    /// Waits for work that runs next, or else a batch; or for nothing of them, once in each long rest. Work does not end a rest: a health
    /// check every few seconds would keep the memory of the last batches for ever.
    /// </summary>
    /// <param name="batch">Where the requests go; it is empty.</param>
    /// <param name="work">The work, if there is any.</param>
    /// <returns>False when the queue is closed and empty.</returns>
    public bool Take(List<ForwardRequest> batch, out QueuedWork? work)
    {
        lock (_gate)
        {
            while (true)
            {
                if (_works.TryDequeue(out work))
                    return true;
                if (_requests.Count == 0)
                {
                    if (_isClosed)
                        return false;
                    _requests.Rest();
                    _restStart ??= Stopwatch.GetTimestamp();
                    TimeSpan left = options.IdleMemoryDelay - Stopwatch.GetElapsedTime(_restStart.Value);
                    if (!_isIdle && left <= TimeSpan.Zero)
                    {
                        _isIdle = true;
                        return true;
                    }

                    Monitor.Wait(_gate, _isIdle ? Timeout.InfiniteTimeSpan : left);
                    continue;
                }

                (_restStart, _isIdle) = (null, false);
                TimeSpan delay = LeftToJoin();
                if (delay <= TimeSpan.Zero)
                {
                    _requests.Take(options.MaxBatchRequests, options.MaxBatchTokens, batch);
                    return true;
                }

                Monitor.Wait(_gate, delay);
            }
        }
    }

    /// <summary>Takes no more. Requests that wait are still taken, or refused.</summary>
    public void Close(bool refuse)
    {
        QueuedWork[] works;
        IReadOnlyList<ForwardRequest> requests;
        lock (_gate)
        {
            _isClosed = true;
            Monitor.PulseAll(_gate);
            works = [.. _works];
            _works.Clear();
            requests = refuse ? _requests.Drain() : [];
        }

        foreach (QueuedWork work in works)
            work.Refuse(new ObjectDisposedException(nameof(IAttentionService)));
        foreach (ForwardRequest request in requests)
            request.Fail(new ObjectDisposedException(nameof(IAttentionService)), "refused");
    }

    private void RequirePlace(ForwardRequest request)
    {
        if (_requests.Count >= options.QueueLimit)
            throw new AttentionOverloadedException(nameof(options.QueueLimit), options.QueueLimit);
        if (_requests.Tokens + request.Tokens > options.QueueLimitTokens)
            throw new AttentionOverloadedException(nameof(options.QueueLimitTokens), options.QueueLimitTokens);
        if (_requests.Bytes + request.Bytes > options.QueueLimitBytes)
            throw new AttentionOverloadedException(nameof(options.QueueLimitBytes), options.QueueLimitBytes);
    }

    // How long the requests that wait may go on waiting for others.
    private TimeSpan LeftToJoin()
    {
        if (options.BatchDelay <= TimeSpan.Zero || _isClosed || _requests.Count >= options.MaxBatchRequests)
            return TimeSpan.Zero;
        return _requests.IsOneBatchWithRoom(options.MaxBatchTokens, out long oldest)
            ? options.BatchDelay - Stopwatch.GetElapsedTime(oldest)
            : TimeSpan.Zero;
    }
}
