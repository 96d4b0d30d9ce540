using System.Diagnostics;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>A request from its arrival to its end, which comes once: with its output, an error, or cancelled.</summary>
internal sealed class ForwardRequest
{
    private const int Open = 0;
    private const int Ending = 1;

    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenRegistration _registration;
    private int _state;

    public required AttentionLayer Layer { get; init; }

    public required ReadOnlyMemory<float> Input { get; init; }

    public required Memory<float> Output { get; init; }

    /// <summary>Where the attention weights go; empty for nowhere. With them a request is not joined.</summary>
    public Memory<float> Weights { get; init; }

    public required Causal Causal { get; init; }

    public required int Tokens { get; init; }

    public long Arrived { get; } = Stopwatch.GetTimestamp();

    /// <summary>What is told of the end: the outcome.</summary>
    public required Action<string> Ended { get; init; }

    public Task Task => _completion.Task;

    /// <summary>Whether it has ended, or is about to.</summary>
    public bool IsEnded => Volatile.Read(ref _state) != Open;

    public void CancelWith(CancellationToken token) =>
        _registration = token.UnsafeRegister(
            static (state, token) => ((ForwardRequest)state!).End("cancelled", completion => completion.TrySetCanceled(token)), this);

    /// <summary>Hands the output over. A request that was cancelled meanwhile is left alone, and so is its memory.</summary>
    public void Complete(ReadOnlySpan<float> output, ReadOnlySpan<float> weights)
    {
        if (Interlocked.CompareExchange(ref _state, Ending, Open) != Open)
            return;
        try
        {
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

    public void Fail(Exception exception, string outcome) => End(outcome, completion => completion.TrySetException(exception));

    private void End(string outcome, Action<TaskCompletionSource> end)
    {
        if (Interlocked.CompareExchange(ref _state, Ending, Open) == Open)
            Finish(outcome, end);
    }

    private void Finish(string outcome, Action<TaskCompletionSource> end)
    {
        _registration.Unregister();
        Ended(outcome);
        end(_completion);
    }
}
