using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace AttentionGpu.Service;

/// <summary>An answer in pieces, each sent before the next is made, within a time.</summary>
internal sealed class ResponseBody : IDisposable
{
    /// <summary>Bytes of a piece.</summary>
    public const int PieceBytes = 16 << 10;

    private readonly HttpContext _context;
    private readonly CancellationTokenSource _time;

    public ResponseBody(HttpContext context, ServiceLimits limits)
    {
        _context = context;
        _time = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted);
        _time.CancelAfter(TimeSpan.FromSeconds(limits.TransferSeconds));
    }

    public IBufferWriter<byte> Writer => _context.Response.BodyWriter;

    /// <summary>Sends what was written. The connection is closed when the time is over.</summary>
    /// <exception cref="OperationCanceledException">The client has gone, or the time is over.</exception>
    public async ValueTask SendAsync()
    {
        try
        {
            FlushResult result = await _context.Response.BodyWriter.FlushAsync(_time.Token).ConfigureAwait(false);
            if (result.IsCompleted)
                throw new OperationCanceledException(_context.RequestAborted);
        }
        catch (OperationCanceledException) when (!_context.RequestAborted.IsCancellationRequested)
        {
            // The server tells of the end a little later, and until then it would be taken for a fault of the service.
            _context.Abort();
            _context.RequestAborted = new CancellationToken(canceled: true);
            throw;
        }
    }

    /// <summary>Writes and sends elements, a piece at a time.</summary>
    public async ValueTask SendAsync<T>(ReadOnlyMemory<T> elements)
        where T : unmanaged
    {
        int piece = PieceBytes / Unsafe.SizeOf<T>();
        for (int start = 0; start < elements.Length; start += piece)
        {
            Writer.Write(MemoryMarshal.AsBytes(elements.Span.Slice(start, Math.Min(piece, elements.Length - start))));
            await SendAsync().ConfigureAwait(false);
        }
    }

    public void Dispose() => _time.Dispose();
}
