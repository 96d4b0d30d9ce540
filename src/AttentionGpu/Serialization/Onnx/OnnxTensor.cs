namespace AttentionGpu.Serialization.Onnx;

/// <summary>A tensor that an ONNX file holds: what it says of it, and where its elements lie in the file.</summary>
/// <param name="Entry">Name, type and lengths; <see cref="SafetensorsEntry.Start"/> is a position in the file.</param>
internal sealed record OnnxTensor(SafetensorsEntry Entry)
{
    /// <summary>Why its elements cannot be read: what is said behind its name; null where they can.</summary>
    public string? Unreadable { get; init; }
}
