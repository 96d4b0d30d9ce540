namespace AttentionGpu.Service;

/// <summary>
/// Returns memory to the system after long requests. The collector keeps what it has for the next ones, and does not run while nothing is
/// allocated.
/// </summary>
internal sealed class MemoryReturn(MemoryBudget budget) : BackgroundService
{
    private const long WorthwhileBytes = 64 << 20;
    private const int QuietCalls = 4;

    private static readonly TimeSpan _interval = TimeSpan.FromSeconds(5);

    private long _returned;
    private int _untilSecond;

    /// <summary>
    /// Collects once long requests have held much since the last time and none is there now, and again four quiet calls later: the server's
    /// buffers are let go in the meantime.
    /// </summary>
    public bool TryReturn()
    {
        long ever = budget.LargeBytesEver;
        if (budget.LargeBytes != 0)
            return false;
        bool isFirst = ever - _returned >= WorthwhileBytes;
        if (isFirst)
            (_returned, _untilSecond) = (ever, QuietCalls);
        else if (_untilSecond == 0 || --_untilSecond > 0)
            return false;
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return true;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_interval);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false))
                TryReturn();
        }
        catch (OperationCanceledException)
        {
            // The service ends.
        }
    }
}
