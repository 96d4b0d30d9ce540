using System.Text.Json;
using System.Text.Json.Serialization;

namespace AttentionGpu.Service;

/// <summary>A request in JSON.</summary>
/// <param name="Input">A row of embedding-size numbers a token. Not-a-number is "NaN".</param>
/// <param name="Layer">The layer's name; it may be left out where there is one alone, or the query has it.</param>
/// <param name="Causal">
/// Whether a token sees only itself and those before; what the layer does where neither this nor the query tells.
/// </param>
/// <param name="Weights">Whether the attention weights of each head are wanted.</param>
internal sealed record AttentionRequest(float[][] Input, string? Layer = null, bool? Causal = null, bool Weights = false);

/// <summary>An answer in JSON.</summary>
/// <param name="Output">A row a token.</param>
/// <param name="Weights">[heads][queries][keys], if asked for.</param>
internal sealed record AttentionResponse(float[][] Output, float[][][]? Weights = null);

/// <summary>A layer that the service has.</summary>
/// <param name="Name">Its name in requests.</param>
/// <param name="EmbeddingSize">Numbers of a row.</param>
/// <param name="Heads">Query heads.</param>
/// <param name="KeyValueHeads">Key/value heads.</param>
/// <param name="ElementType">The type of its numbers.</param>
/// <param name="Causal">Whether a token sees only itself and those before, in a request that does not say it.</param>
/// <param name="Model">The name of the model's folder, if it is of one.</param>
/// <param name="ModelLayer">The layer of the model: part and number, or prefix.</param>
/// <param name="SessionTokens">Tokens of a session at most, if it has sessions.</param>
internal sealed record LayerDescription(
    string Name, int EmbeddingSize, int Heads, int KeyValueHeads, string ElementType, bool Causal, string? Model = null,
    string? ModelLayer = null, int? SessionTokens = null);

/// <summary>A step of a session in JSON.</summary>
/// <param name="Input">A row of embedding-size numbers for each new token. Not-a-number is "NaN".</param>
internal sealed record StepBody(float[][] Input);

/// <summary>The answer to a step in JSON.</summary>
/// <param name="Output">A row a new token.</param>
internal sealed record StepAnswer(float[][] Output);

/// <summary>A session.</summary>
/// <param name="Id">What it is asked by.</param>
/// <param name="Layer">The layer's name.</param>
/// <param name="Tokens">Tokens that it has.</param>
/// <param name="Capacity">Tokens that it can have.</param>
internal sealed record SessionDescription(string Id, string Layer, int Tokens, int Capacity);

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
