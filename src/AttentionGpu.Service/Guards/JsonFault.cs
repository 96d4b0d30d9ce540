using System.Text.Json;

namespace AttentionGpu.Service.Guards;

/// <summary>What is wrong with the JSON of a request, in the words of its writer.</summary>
internal static class JsonFault
{
    /// <summary>Describes a fault by its place. The serializer's own text has names of .NET types.</summary>
    public static string Describe(JsonException fault)
    {
        // The reader's faults, those of the grammar, have no such names.
        if (fault.InnerException is JsonException grammar)
            return $"The body is not JSON: {Short.Text(grammar.Message)}";
        string place = fault is { LineNumber: { } line, BytePositionInLine: { } position }
            ? $" (line {line + 1}, byte {position + 1})"
            : "";
        return $"The body does not fit at '{Short.Text(fault.Path ?? "$")}'{place}. It must be an object with 'input', an array of arrays "
            + "of numbers within float32, and may have 'layer', a text, 'causal' and 'weights', true or false, each once; nothing else.";
    }
}
