namespace AttentionGpu.Serialization;

/// <summary>What a safetensors file says of one tensor.</summary>
/// <param name="Name">The tensor's name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Lengths">The length of each axis; none for a scalar.</param>
public sealed record SafetensorsEntry(string Name, SafetensorsType Type, IReadOnlyList<nint> Lengths)
{
    /// <summary>The name of the element type in the file, such as <c>BF16</c> or <c>F8_E8M0</c>.</summary>
    public string TypeName { get; init; } = "";

    /// <summary>The first byte, from the end of the header on.</summary>
    internal long Start { get; init; }

    /// <summary>One past the last byte.</summary>
    internal long End { get; init; }
}
