using System.Globalization;
using Microsoft.Extensions.Primitives;

namespace AttentionGpu.Service.Guards;

/// <summary>The layer and the causal rule, which a request may tell in its query or in a JSON body.</summary>
/// <param name="Layer">The layer's name; null where the query has none.</param>
/// <param name="Causal">Whether a token sees only itself and those before; null where the query does not tell.</param>
internal sealed record RequestQuery(string? Layer, bool? Causal)
{
    public const string LayerName = "layer";
    public const string CausalName = "causal";
    public const string TokensName = "tokens";

    /// <summary>Reads a query.</summary>
    /// <exception cref="ArgumentException">It has another parameter, one twice, or no truth value for causal.</exception>
    public static RequestQuery Read(IQueryCollection query)
    {
        RequireNames(query, LayerName, CausalName);
        string? causal = query[CausalName];
        if (causal is null)
            return new(query[LayerName], null);
        return bool.TryParse(causal, out bool isCausal)
            ? new(query[LayerName], isCausal)
            : throw new ArgumentException($"'{CausalName}' in the query must be true or false; it was '{Excerpt.Of(causal)}'.");
    }

    /// <summary>Refuses parameters of other names, and those that are there twice.</summary>
    /// <exception cref="ArgumentException">There is one.</exception>
    public static void RequireNames(IQueryCollection query, params ReadOnlySpan<string> names)
    {
        foreach ((string name, StringValues values) in query)
        {
            bool isKnown = false;
            foreach (string known in names)
                isKnown |= Is(name, known);
            if (!isKnown)
            {
                string rule = names.IsEmpty ? "must be empty" : $"may have '{string.Join("' and '", names)}'";
                throw new ArgumentException($"The query {rule}; it has '{Excerpt.Of(name)}'.");
            }

            if (values.Count > 1)
                throw new ArgumentException($"'{name}' may be once in the query; it is there {values.Count} times.");
        }
    }

    /// <summary>The number of tokens in a query; null where it has none.</summary>
    /// <exception cref="ArgumentException">It is no whole number from 0 to the most.</exception>
    public static int? ReadTokens(IQueryCollection query, int most)
    {
        if ((string?)query[TokensName] is not { } text)
            return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int tokens) && tokens <= most
            ? tokens
            : throw new ArgumentException(
                $"'{TokensName}' in the query must be a whole number from 0 to {most}; it was '{Excerpt.Of(text)}'.");
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
