using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using AttentionGpu.Serialization;
using Microsoft.IO;

namespace AttentionGpu.Service;

/// <summary>
/// Tensors in the body of a request and of its answer: safetensors files. A request's file is held in blocks of one size, which are used
/// again, until it is disposed.
/// </summary>
internal sealed class SafetensorsBody : IDisposable
{
    public const string ContentType = "application/vnd.safetensors";
    public const string Input = "input";
    public const string Output = "output";

    private const int BlockBytes = 16 << 10;

    // What is free beyond this is left to the collector.
    private const long FreeBytes = 4 << 20;

    private static readonly RecyclableMemoryStreamManager _memory = new(
        new RecyclableMemoryStreamManager.Options { BlockSize = BlockBytes, MaximumSmallPoolFreeBytes = FreeBytes });

    private readonly RecyclableMemoryStream _bytes = _memory.GetStream();
    private readonly MemoryLease _lease;
    private long _held;
    private SafetensorsFile? _file;
    private bool _isDisposed;

    private SafetensorsBody(MemoryLease lease) => _lease = lease;

    public SafetensorsFile File => _file!;

    /// <summary>Reads the whole body.</summary>
    /// <exception cref="InvalidDataException">It is no safetensors file, or has a header that is too long.</exception>
    /// <exception cref="BusyException">There is no room for it.</exception>
    public static async Task<SafetensorsBody> ReadAsync(HttpContext context, ServiceLimits limits, MemoryLease lease)
    {
        var body = new SafetensorsBody(lease);
        try
        {
            await body.FillAsync(context, limits).ConfigureAwait(false);
            body._bytes.Position = 0;
            body._file = SafetensorsFile.Open(body._bytes);
            return body;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <summary>Answers with the tensor "output", in its own element type.</summary>
    public static async Task WriteAsync<T>(HttpContext context, ServiceLimits limits, ReadOnlyMemory<T> values, nint[] lengths)
        where T : unmanaged
    {
        byte[] header = SafetensorsFile.CreateHeader<T>(new Dictionary<string, nint[]> { [Output] = lengths });
        context.Response.ContentType = ContentType;
        context.Response.ContentLength = header.Length + (long)values.Length * Unsafe.SizeOf<T>();
        using var answer = new ResponseBody(context, limits);
        answer.Writer.Write(header);
        await answer.SendAsync().ConfigureAwait(false);
        await answer.SendAsync(values).ConfigureAwait(false);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _bytes.Dispose();
        _lease.Shrink(_held);
    }

    private async Task FillAsync(HttpContext context, ServiceLimits limits)
    {
        // Without room for all of it, none of the body is read.
        long length = context.Request.ContentLength ?? 0;
        _lease.Grow(length);
        _lease.Shrink(length);
        using var body = new RequestBody(context, limits);
        ReadResult piece;
        do
        {
            piece = await body.ReadAsync().ConfigureAwait(false);
            foreach (ReadOnlyMemory<byte> segment in piece.Buffer)
                Append(segment.Span);
            body.Consume(piece.Buffer.End);
            CheckHeader(limits.MaxHeaderBytes);
        }
        while (!piece.IsCompleted);
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        long needed = (_bytes.Length + bytes.Length + BlockBytes - 1) / BlockBytes * BlockBytes;
        if (needed > _held)
        {
            _lease.Grow(needed - _held);
            _held = needed;
        }

        _bytes.Write(bytes);
    }

    // A header takes many times its size when it is parsed.
    private void CheckHeader(int most)
    {
        if (_bytes.Length < sizeof(ulong))
            return;
        Span<byte> start = stackalloc byte[sizeof(ulong)];
        _bytes.GetReadOnlySequence().Slice(0, sizeof(ulong)).CopyTo(start);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (length > (ulong)most)
            throw new InvalidDataException($"The header of the file must have at most {most} bytes; it claims {length}.");
    }
}
