using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;

namespace AttentionGpu.Service;

/// <summary>Reads a request in JSON piece by piece as it comes: nothing is kept but its numbers.</summary>
internal sealed class JsonRequestReader(JsonRequest request)
{
    // No name or number of a request is longer, with escapes and the white space before it.
    private const int MaxTextBytes = 4096;

    private static readonly string[] _members = ["input", "layer", "causal", "weights"];

    private readonly HashSet<string> _seen = [];
    private JsonReaderState _state;
    private Place _place;
    private string _member = "";
    private bool _isStarted;

    private enum Place
    {
        Start,
        Member,
        Value,
        Rows,
        Row,
        End,
    }

    /// <summary>Reads the body to its end.</summary>
    /// <exception cref="BadHttpRequestException">It is not the JSON of a request.</exception>
    /// <exception cref="ArgumentException">A row has another length than the layer's, or there are too many.</exception>
    /// <exception cref="BusyException">There is no room for its numbers.</exception>
    public async Task ReadAsync(HttpContext context, ServiceLimits limits)
    {
        using var body = new RequestBody(context, limits);
        ReadResult piece;
        do
        {
            piece = await body.ReadAsync().ConfigureAwait(false);
            body.Consume(Read(piece.Buffer, piece.IsCompleted));
        }
        while (!piece.IsCompleted);
        if (!_seen.Contains("input"))
            throw Wrong("'input' must be given");
        request.Complete();
    }

    private SequencePosition Read(ReadOnlySequence<byte> bytes, bool isLast)
    {
        if (!_isStarted && !isLast && bytes.Length < 3)
            return bytes.Start;
        bytes = _isStarted ? bytes : WithoutMark(bytes);
        _isStarted = true;
        var reader = new Utf8JsonReader(bytes, isLast, _state);
        try
        {
            while (reader.Read())
                Take(ref reader);
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // Texts that are no UTF-8 are an InvalidOperationException.
            throw new BadHttpRequestException(exception.Message, StatusCodes.Status400BadRequest, exception);
        }

        _state = reader.CurrentState;
        if (bytes.Length - reader.BytesConsumed > MaxTextBytes)
            throw Wrong($"a name, text or number must have at most {MaxTextBytes} bytes, with the white space before it");
        return reader.Position;
    }

    // The mark of UTF-8, which some writers put before a text.
    private static ReadOnlySequence<byte> WithoutMark(ReadOnlySequence<byte> bytes)
    {
        ReadOnlySpan<byte> mark = [0xEF, 0xBB, 0xBF];
        if (bytes.Length < mark.Length)
            return bytes;
        Span<byte> start = stackalloc byte[3];
        bytes.Slice(0, mark.Length).CopyTo(start);
        return start.SequenceEqual(mark) ? bytes.Slice(mark.Length) : bytes;
    }

    private void Take(ref Utf8JsonReader reader)
    {
        switch (_place)
        {
            case Place.Start:
                Expect(reader.TokenType == JsonTokenType.StartObject, "the body must be an object");
                _place = Place.Member;
                break;
            case Place.Member:
                TakeMember(ref reader);
                break;
            case Place.Value:
                TakeValue(ref reader);
                break;
            case Place.Rows:
                TakeRow(reader.TokenType);
                break;
            default:
                TakeNumber(ref reader);
                break;
        }
    }

    private void TakeMember(ref Utf8JsonReader reader)
    {
        if (reader.TokenType == JsonTokenType.EndObject)
        {
            _place = Place.End;
            return;
        }

        string name = reader.GetString()!;
        _member = Array.Find(_members, member => member.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw Wrong($"it has the member '{Excerpt.Of(name)}'; it may have {string.Join(", ", _members)}");
        Expect(_seen.Add(_member), $"it has '{_member}' twice");
        _place = Place.Value;
    }

    private void TakeValue(ref Utf8JsonReader reader)
    {
        JsonTokenType type = reader.TokenType;
        _place = Place.Member;
        switch (_member)
        {
            case "input":
                Expect(type == JsonTokenType.StartArray, "'input' must be an array of rows");
                _place = Place.Rows;
                break;
            case "layer":
                Expect(type is JsonTokenType.String or JsonTokenType.Null, "'layer' must be a text");
                request.SetLayer(reader.GetString());
                break;
            case "causal":
                request.Causal = IsTrue(type);
                break;
            default:
                request.Weights = IsTrue(type);
                break;
        }
    }

    private bool IsTrue(JsonTokenType type)
    {
        Expect(type is JsonTokenType.True or JsonTokenType.False, $"'{_member}' must be true or false");
        return type == JsonTokenType.True;
    }

    private void TakeRow(JsonTokenType type)
    {
        if (type == JsonTokenType.EndArray)
        {
            _place = Place.Member;
            return;
        }

        Expect(type is JsonTokenType.StartArray, "each row of 'input' must be an array of numbers");
        request.StartRow();
        _place = Place.Row;
    }

    private void TakeNumber(ref Utf8JsonReader reader)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.EndArray:
                request.EndRow();
                _place = Place.Rows;
                break;
            case JsonTokenType.Number:
                float number = reader.GetSingle();
                Expect(float.IsFinite(number), $"row {request.Tokens - 1} of 'input' has a number beyond float32");
                request.Add(number);
                break;
            case JsonTokenType.String when reader.ValueTextEquals("NaN"u8):
                request.Add(float.NaN);
                break;
            case JsonTokenType.String when reader.ValueTextEquals("Infinity"u8):
                request.Add(float.PositiveInfinity);
                break;
            case JsonTokenType.String when reader.ValueTextEquals("-Infinity"u8):
                request.Add(float.NegativeInfinity);
                break;
            default:
                throw Wrong($"row {request.Tokens - 1} of 'input' must have numbers, \"NaN\", \"Infinity\" or \"-Infinity\"");
        }
    }

    private static void Expect(bool condition, string otherwise)
    {
        if (!condition)
            throw Wrong(otherwise);
    }

    private static BadHttpRequestException Wrong(string what) => new($"The body is not the JSON of a request: {what}.");
}
