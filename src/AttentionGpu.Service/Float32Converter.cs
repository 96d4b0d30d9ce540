using System.Text.Json;
using System.Text.Json.Serialization;

namespace AttentionGpu.Service;

/// <summary>Reads numbers that float32 has, and NaN and infinities by their names.</summary>
internal sealed class Float32Converter : JsonConverter<float>
{
    /// <inheritdoc/>
    public override float Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        JsonNumbers.ReadSingle(ref reader);

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, float value, JsonSerializerOptions options) =>
        throw new NotSupportedException("Requests are read alone.");
}
