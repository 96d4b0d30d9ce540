using System.Diagnostics;
using System.Numerics;
using System.Threading.Channels;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>Runs a layer on ragged sequences, and returns what it failed with; null when it did not.</summary>
/// <param name="layer">The layer.</param>
/// <param name="input">[tokens, embedding size].</param>
/// <param name="starts">Where each sequence starts, and the number of tokens.</param>
/// <param name="output">The shape of the input.</param>
/// <param name="weights">[heads, tokens, tokens] of a single sequence; empty where nobody asks.</param>
/// <param name="causal">Which keys a query may see by position alone.</param>
internal delegate Exception? BatchRun(
    AttentionLayer layer, ReadOnlySpan<float> input, int[] starts, Span<float> output, Span<float> weights, Causal causal);

/// <summary>
/// A bounded queue and the one loop that empties it: requests of one layer that wait together are joined into a ragged batch. What a batch fails with is
/// tried again request by request, so that one request's failure is not another's.
/// </summary>
internal sealed class RequestScheduler : IAsyncDisposable
{
    private readonly AttentionServiceOptions _options;
    private readonly BatchRun _run;
    private readonly Action<int, int, TimeSpan> _batchEnded;
    private readonly Action<TimeSpan> _waited;
    private readonly Channel<ForwardRequest> _queue;
    private readonly List<ForwardRequest> _batch = [];
    private readonly Task _loop;
    private ForwardRequest? _next;
    private float[] _input = [];
    private float[] _output = [];
    private volatile bool _isClosed;
    private volatile bool _refusing;

    /// <param name="options">Limits.</param>
    /// <param name="run">Runs a batch.</param>
    /// <param name="batchEnded">Told of a batch's requests, elements and time.</param>
    /// <param name="waited">Told how long a request waited.</param>
    public RequestScheduler(
        AttentionServiceOptions options, BatchRun run, Action<int, int, TimeSpan> batchEnded, Action<TimeSpan> waited)
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
                || (request.Weights.IsEmpty && _batch[0].Weights.IsEmpty && _batch[0].Layer == request.Layer && _batch[0].Causal == request.Causal && FitsWith(tokens, request));
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

    private static void CopyInput(ForwardRequest request, Span<float> target)
    {
        try
        {
            request.Input.Span.CopyTo(target);
        }
        catch (Exception exception)
        {
            // The caller's memory may be gone.
            request.Fail(exception, "failed");
        }
    }

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

    private void RunBatch(List<ForwardRequest> batch)
    {
        long start = Stopwatch.GetTimestamp();
        foreach (ForwardRequest request in batch)
            _waited(Stopwatch.GetElapsedTime(request.Arrived, start));
        int size = batch[0].Layer.Config.EmbeddingSize;
        var starts = new int[batch.Count + 1];
        for (int i = 0; i < batch.Count; i++)
            starts[i + 1] = starts[i] + batch[i].Tokens;
        int count = starts[^1] * size;
        if (_input.Length < count)
        {
            // Longer than it must be, so that the next length fits too.
            int length = (int)Math.Min(BitOperations.RoundUpToPowerOf2((uint)count), (uint)Array.MaxLength);
            _input = new float[length];
            _output = new float[length];
        }

        // A caller who cancelled may use the memory for something else: that is then computed, and nobody gets it.
        for (int i = 0; i < batch.Count; i++)
            CopyInput(batch[i], _input.AsSpan(starts[i] * size));
        float[] weights = batch[0].Weights.IsEmpty ? [] : new float[batch[0].Weights.Length];
        Exception? exception = _run(batch[0].Layer, _input.AsSpan(0, count), starts, _output.AsSpan(0, count), weights, batch[0].Causal);
        if (exception is null)
        {
            for (int i = 0; i < batch.Count; i++)
                batch[i].Complete(_output.AsSpan(starts[i] * size, batch[i].Tokens * size), weights);
            _batchEnded(batch.Count, count, Stopwatch.GetElapsedTime(start));
        }
        else if (batch.Count == 1)
        {
            batch[0].Fail(exception, "failed");
        }
        else
        {
            foreach (ForwardRequest request in batch.Where(request => !request.IsEnded).ToArray())
                RunBatch([request]);
        }
    }
}
