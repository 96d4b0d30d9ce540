using System.IO.Pipelines;

namespace AttentionGpu.Service;

/// <summary>A request's body, piece by piece as it comes, within a time.</summary>
internal sealed class RequestBody : IDisposable
{
    private readonly HttpContext _context;
    private readonly PipeReader _reader;
    private readonly int _seconds;
    private readonly CancellationTokenSource _over;
    private readonly CancellationTokenRegistration _cancelling;
    private SequencePosition? _end;

    public RequestBody(HttpContext context, ServiceLimits limits)
    {
        _context = context;
        _reader = context.Request.BodyReader;
        _seconds = limits.TransferSeconds;
        _over = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        _over.CancelAfter(TimeSpan.FromSeconds(_seconds));

        // A read that is given a token may take a piece and then throw without it. The piece could not be consumed, and the server would
        // fail with "Reading is already in progress" on the connection.
        _cancelling = _over.Token.UnsafeRegister(static reader => ((PipeReader)reader!).CancelPendingRead(), _reader);
    }

    /// <summary>Waits for the next piece: what is there behind the part that was consumed.</summary>
    /// <exception cref="BadHttpRequestException">The time is over, or the body is broken.</exception>
    /// <exception cref="OperationCanceledException">The client has gone.</exception>
    public async ValueTask<ReadResult> ReadAsync()
    {
        ReadResult result = await _reader.ReadAsync(CancellationToken.None).ConfigureAwait(false);
        _end = result.Buffer.End;
        if (!result.IsCanceled)
            return result;
        _context.RequestAborted.ThrowIfCancellationRequested();
        throw new BadHttpRequestException($"A body must come within {_seconds} seconds.", StatusCodes.Status408RequestTimeout);
    }

    /// <summary>Says how far the piece was consumed. The rest comes again, with more behind it.</summary>
    public void Consume(SequencePosition consumed)
    {
        _reader.AdvanceTo(consumed, _end!.Value);
        _end = null;
    }

    public void Dispose()
    {
        // Waits for a cancellation that has begun: it would meet the next request of the connection.
        _cancelling.Dispose();
        _over.Dispose();

        // A piece that was refused is consumed too, or the server could not skip what follows.
        if (_end is { } end)
            Consume(end);
    }
}
