using System.Text.Json;

namespace AttentionGpu.Serialization;

/// <summary>
/// Parses and checks the header of a safetensors file: a JSON object of tensors, whose bytes must follow each other without gap or
/// overlap and fill the file exactly.
/// </summary>
/// <param name="path">The file's path, for messages; null for a stream.</param>
internal sealed class SafetensorsHeader(string? path)
{
    // No operator has more axes than 4, and a shape of millions would take many times the file's memory.
    public const int MaxRank = 8;

    private const string MetadataName = "__metadata__";

    /// <param name="json">The header's bytes.</param>
    /// <param name="dataLength">The bytes that follow the header in the file.</param>
    /// <exception cref="InvalidDataException">The header breaks a rule.</exception>
    public IReadOnlyDictionary<string, SafetensorsEntry> Parse(ReadOnlySpan<byte> json, long dataLength)
    {
        var entries = new Dictionary<string, SafetensorsEntry>(StringComparer.Ordinal);
        try
        {
            var reader = new Utf8JsonReader(json);
            reader.Read();
            Expect(reader.TokenType == JsonTokenType.StartObject, "the header must be a JSON object");
            bool hasMetadata = false;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!;
                reader.Read();
                if (name == MetadataName)
                {
                    Expect(!hasMetadata, "it has its metadata twice");
                    hasMetadata = true;
                    reader.Skip();
                    continue;
                }

                Expect(entries.TryAdd(name, ParseEntry(ref reader, name)), $"it has the tensor '{Excerpt.Of(name)}' twice");
            }

            while (reader.Read())
            {
                // Only white space may follow; anything else makes the reader throw.
            }
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or FormatException)
        {
            throw Error($"the header is not valid JSON of the expected form ({exception.Message})", exception);
        }

        CheckOffsets(entries.Values, dataLength);
        return entries;
    }

    /// <summary>The exception for a malformed file.</summary>
    public InvalidDataException Error(string what, Exception? inner = null) =>
        new($"The safetensors file {(path is null ? "" : $"'{path}' ")}is malformed: {what}.", inner);

    private SafetensorsEntry ParseEntry(ref Utf8JsonReader reader, string name)
    {
        string shown = Excerpt.Of(name);
        Expect(reader.TokenType == JsonTokenType.StartObject, $"the entry of '{shown}' must be an object");
        string? typeName = null;
        List<long>? lengths = null;
        List<long>? offsets = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string property = reader.GetString()!;
            reader.Read();
            switch (property)
            {
                case "dtype":
                    Expect(typeName is null, $"'{shown}' has its dtype twice");
                    typeName = reader.GetString() ?? "";
                    break;
                case "shape":
                    Expect(lengths is null, $"'{shown}' has its shape twice");
                    lengths = ParseNumbers(ref reader, shown, MaxRank);
                    break;
                case "data_offsets":
                    Expect(offsets is null, $"'{shown}' has its data_offsets twice");
                    offsets = ParseNumbers(ref reader, shown, most: 2);
                    break;
                default:
                    throw Error($"'{shown}' has the unknown field '{Excerpt.Of(property)}'");
            }
        }

        Expect(
            !string.IsNullOrEmpty(typeName) && lengths is not null && offsets is { Count: 2 },
            $"'{shown}' must have dtype, shape and two data_offsets");
        SafetensorsType type = SafetensorsTypes.Parse(typeName!);
        bool hasSize = type != SafetensorsType.Other;
        long size = type.ByteLength(lengths!)
            ?? throw Error($"the shape of '{shown}' overflows: it is [{string.Join(", ", lengths!)}] of {Excerpt.Of(typeName!)}");
        Expect(offsets![0] <= offsets[1], $"'{shown}' has data_offsets [{offsets[0]}, {offsets[1]}], which end before they start");
        Expect(
            offsets[1] - offsets[0] == size || (!hasSize && size > 0),
            $"'{shown}' has data_offsets [{offsets[0]}, {offsets[1]}] but its shape and dtype need {size} bytes");
        return new SafetensorsEntry(name, type, [.. lengths!.Select(length => (nint)length)])
        {
            TypeName = typeName!,
            Start = offsets[0],
            End = offsets[1],
        };
    }

    private List<long> ParseNumbers(ref Utf8JsonReader reader, string shown, int most)
    {
        Expect(reader.TokenType == JsonTokenType.StartArray, $"'{shown}' must have arrays as shape and data_offsets");
        List<long> numbers = [];
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            Expect(reader.TryGetInt64(out long number) && number >= 0, $"'{shown}' has a length or offset that is no whole number of 0 or more");
            Expect(numbers.Count < most, $"'{shown}' has a shape or data_offsets of more than {most} numbers");
            numbers.Add(number);
        }

        return numbers;
    }

    private void CheckOffsets(IEnumerable<SafetensorsEntry> entries, long dataLength)
    {
        long position = 0;
        foreach (SafetensorsEntry entry in entries.OrderBy(entry => entry.Start).ThenBy(entry => entry.End))
        {
            Expect(entry.Start == position, $"'{Excerpt.Of(entry.Name)}' starts at {entry.Start} where {position} is due: tensors overlap or leave a gap");
            position = entry.End;
        }

        Expect(position == dataLength, $"its tensors take {position} bytes but {dataLength} follow the header");
    }

    private void Expect(bool condition, string otherwise)
    {
        if (!condition)
            throw Error(otherwise);
    }
}
