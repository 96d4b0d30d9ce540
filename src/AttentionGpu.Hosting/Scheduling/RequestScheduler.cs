using System.Diagnostics;
using System.Threading.Channels;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>Runs a batch, and returns what it failed with; null when it did not.</summary>
internal delegate Exception? BatchRun(ForwardBatch batch);

/// <summary>
/// A bounded queue and the one loop that empties it: requests of one layer that wait together are joined into a ragged batch. What a batch
/// fails with is tried again request by request, so that one request's failure is not another's.
/// </summary>
internal sealed class RequestScheduler : IAsyncDisposable
{
    private readonly AttentionServiceOptions _options;
    private readonly BatchRun _run;
    private readonly Action<ForwardBatch, TimeSpan> _batchEnded;
    private readonly Action<TimeSpan> _waited;
    private readonly Channel<ForwardRequest> _queue;
    private readonly List<ForwardRequest> _batch = [];
    private readonly Task _loop;
    private ForwardRequest? _next;
    private volatile bool _isClosed;
    private volatile bool _refusing;

    /// <param name="options">Limits.</param>
    /// <param name="run">Runs a batch.</param>
    /// <param name="batchEnded">Told of a batch that ended well, and its time.</param>
    /// <param name="waited">Told how long a request waited.</param>
    public RequestScheduler(
        AttentionServiceOptions options, BatchRun run, Action<ForwardBatch, TimeSpan> batchEnded, Action<TimeSpan> waited)
    {
        _options = options;
        _run = run;
        _batchEnded = batchEnded;
        _waited = waited;
        _queue = Channel.CreateBounded<ForwardRequest>(new BoundedChannelOptions(options.QueueLimit) { SingleReader = true });
        _loop = Task.Run(RunAsync);
    }

    /// <summary>Requests that wait.</summary>
    public int Depth => _queue.Reader.Count;

    /// <exception cref="AttentionOverloadedException">The queue is full.</exception>
    /// <exception cref="ObjectDisposedException">The scheduler takes no more.</exception>
    public void Enqueue(ForwardRequest request)
    {
        if (_queue.Writer.TryWrite(request))
            return;
        ObjectDisposedException.ThrowIf(_isClosed, this);
        throw new AttentionOverloadedException(_options.QueueLimit);
    }

    public async ValueTask DisposeAsync()
    {
        _refusing = _options.Shutdown == AttentionShutdown.Refuse;
        _isClosed = true;
        _queue.Writer.TryComplete();
        await _loop.ConfigureAwait(false);
    }

    private async Task RunAsync()
    {
        while (_next is not null || await _queue.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            await GatherAsync().ConfigureAwait(false);
            if (_batch.Count > 0)
                RunBatch(_batch);
            _batch.Clear();
        }
    }

    // The first request decides the layer. What does not fit starts the next batch, so that no request is passed by.
    private async Task GatherAsync()
    {
        long start = Stopwatch.GetTimestamp();
        int tokens = 0;
        while (_batch.Count < _options.MaxBatchRequests)
        {
            ForwardRequest? request = _next;
            _next = null;
            if (request is null && !_queue.Reader.TryRead(out request))
            {
                TimeSpan left = _batch.Count == 0 ? TimeSpan.Zero : _options.BatchDelay - Stopwatch.GetElapsedTime(start);
                if (left <= TimeSpan.Zero || !await IsMoreWithinAsync(left).ConfigureAwait(false))
                    return;
                continue;
            }

            if (_refusing)
            {
                request.Fail(new ObjectDisposedException(nameof(AttentionService)), "refused");
                continue;
            }

            bool fits = _batch.Count == 0
                || (!request.HasWeights && !_batch[0].HasWeights && _batch[0].Layer == request.Layer && _batch[0].Causal == request.Causal
                    && FitsWith(tokens, request));
            if (!fits)
            {
                _next = request;
                return;
            }

            if (!request.IsEnded)
            {
                _batch.Add(request);
                tokens += request.Tokens;
            }
        }
    }

    private bool FitsWith(int tokens, ForwardRequest request) =>
        tokens + request.Tokens <= _options.MaxBatchTokens
        && (long)(tokens + request.Tokens) * request.Layer.Config.EmbeddingSize <= Array.MaxLength;

    private async Task<bool> IsMoreWithinAsync(TimeSpan time)
    {
        using var timeout = new CancellationTokenSource(time);
        try
        {
            return await _queue.Reader.WaitToReadAsync(timeout.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private void RunBatch(List<ForwardRequest> requests)
    {
        long start = Stopwatch.GetTimestamp();
        foreach (ForwardRequest request in requests)
            _waited(Stopwatch.GetElapsedTime(request.Arrived, start));
        if (TryRun(requests, start) is not { } exception)
            return;
        if (requests.Count == 1)
        {
            requests[0].Fail(exception, "failed");
            return;
        }

        foreach (ForwardRequest request in requests.Where(request => !request.IsEnded).ToArray())
            RunBatch([request]);
    }

    private Exception? TryRun(List<ForwardRequest> requests, long start)
    {
        using ForwardBatch batch = requests[0].Layer.Join(requests);
        Exception? exception = _run(batch);
        if (exception is null)
        {
            batch.Complete();
            _batchEnded(batch, Stopwatch.GetElapsedTime(start));
        }

        return exception;
    }
}
