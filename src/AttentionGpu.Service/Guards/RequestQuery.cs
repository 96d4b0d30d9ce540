using Microsoft.Extensions.Primitives;

namespace AttentionGpu.Service.Guards;

/// <summary>The layer and the causal rule, which a request may tell in its query or in a JSON body.</summary>
/// <param name="Layer">The layer's name; null where the query has none.</param>
/// <param name="Causal">Whether a token sees only itself and those before; null where the query does not tell.</param>
internal sealed record RequestQuery(string? Layer, bool? Causal)
{
    public const string LayerName = "layer";
    public const string CausalName = "causal";

    /// <summary>Reads a query.</summary>
    /// <exception cref="ArgumentException">It has another parameter, one twice, or no truth value for causal.</exception>
    public static RequestQuery Read(IQueryCollection query)
    {
        foreach ((string name, StringValues values) in query)
        {
            if (!Is(name, LayerName) && !Is(name, CausalName))
                throw new ArgumentException($"The query may have '{LayerName}' and '{CausalName}'; it has '{Excerpt.Of(name)}'.");
            if (values.Count > 1)
                throw new ArgumentException($"'{name}' may be once in the query; it is there {values.Count} times.");
        }

        string? causal = query[CausalName];
        if (causal is null)
            return new(query[LayerName], null);
        return bool.TryParse(causal, out bool isCausal)
            ? new(query[LayerName], isCausal)
            : throw new ArgumentException($"'{CausalName}' in the query must be true or false; it was '{Excerpt.Of(causal)}'.");
    }

    /// <summary>What the query and a JSON body say together.</summary>
    /// <exception cref="ArgumentException">They contradict each other.</exception>
    public RequestQuery Join(string? layer, bool? causal)
    {
        if (Layer is not null && layer is not null && !Is(Layer, layer))
        {
            throw new ArgumentException(
                $"'{LayerName}' must be the same in the query and in the body; it was '{Excerpt.Of(Layer)}' and '{Excerpt.Of(layer)}'.");
        }

        if (Causal is { } first && causal is { } second && first != second)
        {
            throw new ArgumentException(
                $"'{CausalName}' must be the same in the query and in the body; it was {Text(first)} and {Text(second)}.");
        }

        return new(Layer ?? layer, Causal ?? causal);
    }

    private static string Text(bool value) => value ? "true" : "false";

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
