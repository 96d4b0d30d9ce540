using System.Text.Json;
using System.Text.Json.Serialization;

namespace AttentionGpu.Service;

/// <summary>A request in JSON.</summary>
/// <param name="Input">A row of embedding-size numbers a token. Not-a-number is "NaN".</param>
/// <param name="Layer">The layer's name; it may be left out where there is one alone, or the query has it.</param>
/// <param name="Causal">Whether a token sees only itself and those before; false where neither this nor the query tells.</param>
/// <param name="Weights">Whether the attention weights of each head are wanted.</param>
internal sealed record AttentionRequest(float[][] Input, string? Layer = null, bool? Causal = null, bool Weights = false);

/// <summary>An answer in JSON.</summary>
/// <param name="Output">A row a token.</param>
/// <param name="Weights">[heads][queries][keys], if asked for.</param>
internal sealed record AttentionResponse(float[][] Output, float[][][]? Weights = null);

/// <summary>A layer that the service has.</summary>
internal sealed record LayerDescription(string Name, int EmbeddingSize, int Heads, int KeyValueHeads, string ElementType);

/// <summary>How JSON is read and written.</summary>
internal static class ServiceJson
{
    public static void Configure(JsonSerializerOptions options)
    {
        options.NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals;
        options.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.RespectNullableAnnotations = true;
        options.RespectRequiredConstructorParameters = true;
    }
}
