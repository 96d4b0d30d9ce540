namespace AttentionGpu.Hosting.Scheduling;

/// <summary>Work other than requests that runs between two batches, on the scheduler's thread.</summary>
internal abstract class QueuedWork
{
    /// <summary>Runs the work; its failure is its task's.</summary>
    public abstract void Run();

    /// <summary>Ends the task of work that does not run.</summary>
    public abstract void Refuse(Exception exception);
}

/// <summary>Work with a result.</summary>
internal sealed class QueuedWork<T>(Func<T> work) : QueuedWork
{
    private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<T> Task => _completion.Task;

    /// <inheritdoc/>
    public override void Run()
    {
        try
        {
            _completion.TrySetResult(work());
        }
        catch (Exception exception)
        {
            _completion.TrySetException(exception);
        }
    }

    /// <inheritdoc/>
    public override void Refuse(Exception exception) => _completion.TrySetException(exception);
}
