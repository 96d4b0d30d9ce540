using AttentionGpu.Hosting.Scheduling;
using AttentionGpu.Hosting.Sessions;

namespace AttentionGpu.Hosting;

/// <summary>
/// A sequence of a layer that a service keeps between requests: each step adds tokens, which attend to all that came before. Opened by
/// <see cref="AttentionSessions.OpenAsync"/>. Members may be called from many threads; steps, forks and rewinds take place one at a time, in
/// the order of their calls. One that fails or is cancelled leaves the session as it was before.
/// </summary>
public sealed class AttentionSession : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly AttentionSessions _sessions;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ITimer? _idle;
    private Task _turn = Task.CompletedTask;
    private int _inLine;
    private long _idleSince;
    private long? _lastStep;
    private int _length;
    private ForwardRequest? _running;
    private Exception? _end;
    private Task? _closing;

    internal AttentionSession(AttentionSessions sessions, string? client, AttentionSession? parent)
    {
        _sessions = sessions;
        Client = client;
        Memory = new SessionMemory(this, parent?.Memory);
        if (sessions.Options.IdleTimeout is not null)
        {
            _idle = sessions.Service.Time.CreateTimer(
                static session => ((AttentionSession)session!).EndWhereIdle(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>What the session is found by: 32 characters that cannot be guessed.</summary>
    public string Id { get; } = SessionMemory.NewId();

    /// <summary>The layer.</summary>
    public IAttentionLayer Layer => _sessions.Layer;

    /// <summary>Whom the session is for; see <see cref="ForwardOptions.Client"/>.</summary>
    public string? Client { get; }

    /// <summary>Tokens of the steps that have ended well.</summary>
    public int Length => Volatile.Read(ref _length);

    /// <summary>Whether its rows are in host memory until the next step.</summary>
    public bool IsSpilled => Memory.IsSpilled;

    /// <summary>Whether it is closed, or has ended otherwise.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_gate)
                return _end is not null;
        }
    }

    internal SessionMemory Memory { get; }

    /// <summary>Whether a step, fork or rewind is under way or waits.</summary>
    internal bool IsBusy
    {
        get
        {
            lock (_gate)
                return _inLine > 0;
        }
    }

    /// <summary>
    /// Adds tokens: each attends to all that came before and to itself. The results are those of
    /// <see cref="MultiHeadAttention{T}.Forward(TensorInput{T}, TensorOutput{T}, KeyValueBatch, int, AttentionGpu.Causal?)"/>, joined with steps of
    /// other sessions, in parts of <see cref="AttentionCacheOptions.ChunkTokens"/>.
    /// </summary>
    /// <typeparam name="T">The layer's element type.</typeparam>
    /// <param name="input">[tokens, embedding size], row after row; must not change until the task ends.</param>
    /// <param name="output">
    /// As long as the input, and may be the same memory; or empty, where nobody reads it. A step of several parts that fails or is cancelled
    /// may have written the outputs of some.
    /// </param>
    /// <param name="options">What it takes for granted, and until when it is wanted.</param>
    /// <param name="cancellationToken">Ends the task at once; a batch that runs is not stopped, but its rows are taken back.</param>
    /// <exception cref="ArgumentException">
    /// A length does not fit, the elements are not of the layer's type, or the step is larger than a session or all that may wait.
    /// </exception>
    /// <exception cref="AttentionCacheFullException">There is no room for the tokens (from the task).</exception>
    /// <exception cref="AttentionSessionLengthException">The session has not the tokens that the options name (from the task).</exception>
    /// <exception cref="AttentionSessionEndedException">The session is closed (from the task).</exception>
    /// <exception cref="AttentionOverloadedException">As much waits as may (from the task).</exception>
    /// <exception cref="AttentionDeviceException">The device failed, and there is no fallback (from the task).</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory, of the device or the host (from the task).</exception>
    /// <exception cref="AttentionDeadlineException">The deadline has passed (from the task).</exception>
    /// <exception cref="ObjectDisposedException">The service is disposed (from the task).</exception>
    /// <exception cref="OperationCanceledException">It was cancelled (from the task).</exception>
    public Task StepAsync<T>(
        ReadOnlyMemory<T> input, Memory<T> output, StepOptions options = default, CancellationToken cancellationToken = default)
        where T : unmanaged
    {
        var step = new SessionStep<T>(this, _sessions, input, output, options);
        return InTurnAsync(step.RunAsync, options.Deadline, cancellationToken);
    }

    /// <summary>
    /// A new session with the first tokens of this one, of the same client. Both go on by themselves; in a cache with pages they share those
    /// that neither has written to.
    /// </summary>
    /// <param name="length">Tokens of the new session, 0 to <see cref="Length"/>; null for all.</param>
    /// <param name="cancellationToken">Ends the wait for the steps before.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session has not so many tokens (from the task).</exception>
    /// <exception cref="AttentionCacheFullException">There is no room for another session (from the task).</exception>
    /// <exception cref="AttentionSessionEndedException">The session is closed (from the task).</exception>
    /// <exception cref="AttentionOverloadedException">As much waits for the session as may (from the task).</exception>
    public Task<AttentionSession> ForkAsync(int? length = null, CancellationToken cancellationToken = default) => InTurnAsync(
        token => _sessions.ForkAsync(this, RequireLength(length ?? Length), token), deadline: null, cancellationToken);

    /// <summary>Drops the last tokens: a step back, or a draft that was refused.</summary>
    /// <param name="length">Tokens that stay, 0 to <see cref="Length"/>.</param>
    /// <param name="cancellationToken">Ends the wait for the steps before.</param>
    /// <exception cref="ArgumentOutOfRangeException">The session has not so many tokens (from the task).</exception>
    /// <exception cref="AttentionSessionEndedException">The session is closed (from the task).</exception>
    /// <exception cref="AttentionOverloadedException">As much waits for the session as may (from the task).</exception>
    public Task RewindAsync(int length, CancellationToken cancellationToken = default) => InTurnAsync(
        async _ =>
        {
            SetLength(RequireLength(length));
            await _sessions.SettleAsync(this).ConfigureAwait(false);
            return true;
        },
        deadline: null, cancellationToken);

    /// <summary>Ends the session and gives its rows back. What is under way or waits ends with an <see cref="AttentionSessionEndedException"/>.</summary>
    public Task CloseAsync() => EndAsync(new AttentionSessionEndedException(Id, "it was closed"));

    /// <inheritdoc cref="CloseAsync"/>
    public ValueTask DisposeAsync() => new(CloseAsync());

    internal void SetLength(int length) => Volatile.Write(ref _length, length);

    /// <summary>The time since the last step ended; null for the first. Within a step.</summary>
    internal TimeSpan? TakeInterval()
    {
        long now = _sessions.Service.Time.GetTimestamp();
        TimeSpan? interval = _lastStep is long last ? _sessions.Service.Time.GetElapsedTime(last, now) : null;
        _lastStep = now;
        return interval;
    }

    /// <summary>Starts the time after which it is closed.</summary>
    internal void Start()
    {
        lock (_gate)
            Rest();
    }

    /// <summary>Ends it for a reason that what comes later is told, too.</summary>
    internal Task EndAsync(Exception reason)
    {
        ForwardRequest? running;
        var closing = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_closing is not null)
                return _closing;
            (_end, _closing, running) = (reason, closing.Task, _running);
            _idle?.Dispose();
        }

        _ended.SetResult();
        running?.Fail(reason, "refused");
        return EndOnceAsync(closing);
    }

    /// <summary>Tells what request is under way, which ends with the session.</summary>
    /// <exception cref="AttentionSessionEndedException">The session has ended.</exception>
    internal void SetRunning(ForwardRequest? request)
    {
        lock (_gate)
        {
            if (request is not null)
                ThrowIfEnded();
            _running = request;
        }
    }

    /// <summary>Lets go of the timer when the service is disposed.</summary>
    internal void Stop()
    {
        lock (_gate)
            _idle?.Dispose();
    }

    private async Task EndOnceAsync(TaskCompletionSource closing)
    {
        await _sessions.RemoveAsync(this).ConfigureAwait(false);
        closing.SetResult();
    }

    private async Task<TResult> InTurnAsync<TResult>(
        Func<CancellationToken, Task<TResult>> operation, TimeSpan? deadline, CancellationToken cancellationToken)
    {
        var mine = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task before;
        lock (_gate)
        {
            ThrowIfEnded();
            if (_inLine >= _sessions.Options.OperationsPerSession)
                throw new AttentionOverloadedException(nameof(AttentionCacheOptions.OperationsPerSession), _sessions.Options.OperationsPerSession);
            _inLine++;
            (before, _turn) = (_turn, mine.Task);
            _idle?.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        Task settled = Task.CompletedTask;
        try
        {
            await WaitAsync(before, deadline, cancellationToken).ConfigureAwait(false);
            lock (_gate)
                ThrowIfEnded();
            cancellationToken.ThrowIfCancellationRequested();
            return await operation(cancellationToken).ConfigureAwait(false);
        }
        catch when (before.IsCompleted)
        {
            // Whoever called is told at once; who comes next waits until the batch that runs has let go of the session.
            settled = _sessions.SettleAsync(this);
            throw;
        }
        finally
        {
            _ = PassOnAsync(Task.WhenAll(before, settled), mine);
        }
    }

    private async Task WaitAsync(Task before, TimeSpan? deadline, CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAny(before, _ended.Task).WaitAsync(deadline ?? Timeout.InfiniteTimeSpan, _sessions.Service.Time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new AttentionDeadlineException(deadline!.Value);
        }
    }

    private async Task PassOnAsync(Task before, TaskCompletionSource mine)
    {
        await before.ConfigureAwait(false);
        lock (_gate)
        {
            if (--_inLine == 0)
                Rest();
        }

        mine.SetResult();
    }

    // Within the gate.
    private void Rest()
    {
        if (_end is not null || _idle is null)
            return;
        _idleSince = _sessions.Service.Time.GetTimestamp();
        _idle.Change(_sessions.Options.IdleTimeout!.Value, Timeout.InfiniteTimeSpan);
    }

    private void EndWhereIdle()
    {
        TimeSpan limit = _sessions.Options.IdleTimeout!.Value;
        lock (_gate)
        {
            // A timer that fires may find that somebody has come meanwhile.
            if (_inLine > 0 || _sessions.Service.Time.GetElapsedTime(_idleSince) < limit)
                return;
        }

        _ = EndAsync(new AttentionSessionEndedException(Id, $"nobody asked anything of it for {limit} (IdleTimeout)"));
    }

    private int RequireLength(int length) => length >= 0 && length <= Length
        ? length
        : throw new ArgumentOutOfRangeException(
            nameof(length), length, $"'length' must be 0 to the session's length, {Length}; it is {length}.");

    private void ThrowIfEnded()
    {
        if (_end is not null)
            throw new AttentionSessionEndedException(_end);
    }
}
