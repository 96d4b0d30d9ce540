using System.IO.Pipelines;

namespace AttentionGpu.Service;

/// <summary>A request's body, piece by piece as it comes, within a time.</summary>
internal sealed class RequestBody : IDisposable
{
    private readonly HttpContext _context;
    private readonly int _seconds;
    private readonly Timer _time;
    private SequencePosition? _end;

    public RequestBody(HttpContext context, ServiceLimits limits)
    {
        _context = context;
        _seconds = limits.TransferSeconds;
        _time = new Timer(_ => Reader.CancelPendingRead(), null, TimeSpan.FromSeconds(_seconds), Timeout.InfiniteTimeSpan);
    }

    private PipeReader Reader => _context.Request.BodyReader;

    /// <summary>Waits for the next piece: what is there behind the part that was consumed.</summary>
    /// <exception cref="BadHttpRequestException">The time is over, or the body is broken.</exception>
    /// <exception cref="OperationCanceledException">The client has gone.</exception>
    public async ValueTask<ReadResult> ReadAsync()
    {
        ReadResult result = await Reader.ReadAsync(_context.RequestAborted).ConfigureAwait(false);
        _end = result.Buffer.End;
        return result.IsCanceled
            ? throw new BadHttpRequestException($"A body must come within {_seconds} seconds.", StatusCodes.Status408RequestTimeout)
            : result;
    }

    /// <summary>Says how far the piece was consumed. The rest comes again, with more behind it.</summary>
    public void Consume(SequencePosition consumed)
    {
        Reader.AdvanceTo(consumed, _end!.Value);
        _end = null;
    }

    public void Dispose()
    {
        _time.Dispose();

        // A piece that was refused is consumed too, or the server could not skip what follows.
        if (_end is { } end)
            Consume(end);
    }
}
