using System.Runtime.CompilerServices;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>
/// A request from its arrival to its end, which comes once: with its output, an error, cancelled or too late. Whatever it is told of its
/// end, the caller's task ends.
/// </summary>
internal abstract class ForwardRequest : QueueItem<ForwardRequest>
{
    private const int Open = 0;
    private const int Ending = 1;

    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenRegistration _registration;
    private ITimer? _timer;
    private int _state;

    public required AttentionLayer Layer { get; init; }

    /// <inheritdoc/>
    public override object Group => Layer;

    /// <summary>Whether the attention weights are asked for. With them a request is not joined.</summary>
    public abstract bool HasWeights { get; }

    public required Causal Causal { get; init; }

    /// <summary>Whether it goes on with what has a place in the queue already, and so is not refused one.</summary>
    public bool IsContinuation { get; init; }

    /// <summary>Where the request gives its place back.</summary>
    public required RequestQueue Queue { get; init; }

    /// <summary>What is told of the end: the outcome.</summary>
    public required Action<string> Ended { get; init; }

    public Task Task => _completion.Task;

    /// <summary>Whether it has ended, or is about to.</summary>
    public override bool IsEnded => Volatile.Read(ref _state) != Open;

    /// <inheritdoc/>
    public override bool Joins(ForwardRequest first, int tokens) =>
        !HasWeights && !first.HasWeights && Group == first.Group && Causal == first.Causal
        && (long)(tokens + Tokens) * Layer.Config.EmbeddingSize <= Array.MaxLength;

    /// <summary>Joins requests that <see cref="Joins"/> has let join this one, the first of them.</summary>
    public virtual ForwardBatch Join(IReadOnlyList<ForwardRequest> requests, BatchMemory memory) => Layer.Join(requests, memory);

    public void CancelWith(CancellationToken token) =>
        _registration = token.UnsafeRegister(
            static (state, token) => ((ForwardRequest)state!).End("cancelled", completion => completion.TrySetCanceled(token)), this);

    /// <summary>Ends the request so long from now, if it has not ended by then.</summary>
    /// <param name="left">How long.</param>
    /// <param name="deadline">How long it was wanted for at first.</param>
    /// <param name="time">The time.</param>
    public void EndAfter(TimeSpan left, TimeSpan deadline, TimeProvider time)
    {
        // It starts when it can be stopped.
        _timer = time.CreateTimer(
            _ => Fail(new AttentionDeadlineException(deadline), "expired"), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _timer.Change(left, Timeout.InfiniteTimeSpan);
    }

    public void Fail(Exception exception, string outcome) => End(outcome, completion => completion.TrySetException(exception));

    /// <summary>Whether the caller is the one who ends it, and must call <see cref="Finish"/>.</summary>
    protected bool TryEnd() => Interlocked.CompareExchange(ref _state, Ending, Open) == Open;

    protected void Finish(string outcome, Action<TaskCompletionSource> end)
    {
        try
        {
            _registration.Unregister();
            _timer?.Dispose();
            Queue.Withdraw(this);
            Ended(outcome);
        }
        finally
        {
            Complete(end);
        }
    }

    private void Complete(Action<TaskCompletionSource> end)
    {
        try
        {
            end(_completion);
        }
        catch (OutOfMemoryException exception)
        {
            // The memory of a failed batch may be free by now; a task that never ends would be worse than a pause.
            GC.Collect();
            _completion.TrySetException(exception);
        }
    }

    private void End(string outcome, Action<TaskCompletionSource> end)
    {
        if (TryEnd())
            Finish(outcome, end);
    }
}

/// <summary>A request in the element type of its layer.</summary>
internal class ForwardRequest<T> : ForwardRequest
    where T : unmanaged
{
    public required ReadOnlyMemory<T> Input { get; init; }

    /// <summary>As long as the input; empty where nobody reads it.</summary>
    public required Memory<T> Output { get; init; }

    /// <summary>Where the attention weights go; empty for nowhere.</summary>
    public Memory<T> Weights { get; init; }

    /// <inheritdoc/>
    public override bool HasWeights => !Weights.IsEmpty;

    /// <inheritdoc/>
    public override long Bytes => Size(Input.Length, Weights.Length);

    /// <summary>Bytes of a request with so many elements of input, and as many of output.</summary>
    public static long Size(int input, int weights) => ((2L * input) + weights) * Unsafe.SizeOf<T>();

    /// <summary>Copies the input to where the batch has it. The request fails if that cannot be read.</summary>
    public void CopyInput(Span<T> target)
    {
        try
        {
            Input.Span.CopyTo(target);
        }
        catch (Exception exception)
        {
            // The caller's memory may be gone.
            Fail(exception, "failed");
        }
    }

    /// <summary>Hands the output over. A request that was cancelled meanwhile is left alone, and so is its memory.</summary>
    public void Complete(ReadOnlySpan<T> output, ReadOnlySpan<T> weights)
    {
        if (!TryEnd())
            return;
        try
        {
            if (!Output.IsEmpty)
                output.CopyTo(Output.Span);
            weights.CopyTo(Weights.Span);
        }
        catch (Exception exception)
        {
            // The caller's memory may be gone.
            Finish("failed", completion => completion.TrySetException(exception));
            return;
        }

        Finish("completed", completion => completion.TrySetResult());
    }
}
