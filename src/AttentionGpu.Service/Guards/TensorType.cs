using AttentionGpu.Hosting;
using AttentionGpu.Serialization;

namespace AttentionGpu.Service.Guards;

/// <summary>Which tensors of files a layer takes.</summary>
internal static class TensorType
{
    /// <summary>Refuses a tensor whose elements the layer's type does not have.</summary>
    /// <exception cref="ArgumentException">It has other elements; the message has the names that files use.</exception>
    public static void Require(SafetensorsEntry input, IAttentionLayer layer)
    {
        SafetensorsType[] taken = LayerCalls.Of(layer).ElementType switch
        {
            "float32" => [SafetensorsType.F32, SafetensorsType.F16, SafetensorsType.BF16],
            "float16" => [SafetensorsType.F16],
            _ => [SafetensorsType.BF16],
        };
        if (!taken.Contains(input.Type))
        {
            throw new ArgumentException(
                $"'input' must be {string.Join(", ", taken)} for the layer '{layer.Name}'; it was {Excerpt.Of(input.TypeName)}.");
        }
    }
}
