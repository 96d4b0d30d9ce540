using System.Text.Json;

namespace AttentionGpu.Service;

/// <summary>An answer in JSON, written and sent row by row.</summary>
internal sealed class JsonAnswer : IDisposable
{
    private readonly ResponseBody _body;
    private readonly Utf8JsonWriter _writer;
    private long _sent;

    /// <summary>Starts the answer's object.</summary>
    public JsonAnswer(HttpContext context, ServiceLimits limits)
    {
        context.Response.ContentType = "application/json; charset=utf-8";
        _body = new ResponseBody(context, limits);
        _writer = new Utf8JsonWriter(_body.Writer, new JsonWriterOptions { SkipValidation = true });
        _writer.WriteStartObject();
    }

    /// <summary>A matrix as rows of numbers.</summary>
    /// <param name="name">The member; null within an array.</param>
    /// <param name="elements">The rows, one behind the other.</param>
    /// <param name="size">Elements of a row.</param>
    public async Task WriteAsync<T>(string? name, ReadOnlyMemory<T> elements, int size)
        where T : unmanaged
    {
        StartArray(name);
        for (int start = 0; start < elements.Length; start += size)
        {
            WriteRow(elements.Span.Slice(start, size));
            await SendAsync(ResponseBody.PieceBytes).ConfigureAwait(false);
        }

        _writer.WriteEndArray();
    }

    /// <summary>Matrices of one size as an array.</summary>
    public async Task WriteAsync<T>(string name, ReadOnlyMemory<T> matrices, int rows, int size)
        where T : unmanaged
    {
        StartArray(name);
        for (int start = 0; start < matrices.Length; start += rows * size)
            await WriteAsync(null, matrices.Slice(start, rows * size), size).ConfigureAwait(false);
        _writer.WriteEndArray();
    }

    /// <summary>Ends the answer.</summary>
    public async Task EndAsync()
    {
        _writer.WriteEndObject();
        await SendAsync(0).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _writer.Dispose();
        _body.Dispose();
    }

    private void StartArray(string? name)
    {
        if (name is null)
            _writer.WriteStartArray();
        else
            _writer.WriteStartArray(name);
    }

    private void WriteRow<T>(ReadOnlySpan<T> row)
        where T : unmanaged
    {
        _writer.WriteStartArray();
        foreach (T element in row)
        {
            float number = JsonNumbers.ToSingle(element);
            if (float.IsFinite(number))
                _writer.WriteNumberValue(number);
            else
                _writer.WriteStringValue(float.IsNaN(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
        }

        _writer.WriteEndArray();
    }

    private async ValueTask SendAsync(int waiting)
    {
        if (_writer.BytesCommitted + _writer.BytesPending - _sent < waiting)
            return;
        _writer.Flush();
        _sent = _writer.BytesCommitted;
        await _body.SendAsync().ConfigureAwait(false);
    }
}
