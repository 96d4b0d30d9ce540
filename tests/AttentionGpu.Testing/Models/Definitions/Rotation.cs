using System.Text.Json.Nodes;

namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// Rotary position embedding: an angle per position for each pair of a head's first elements, and a factor of the cosines and sines.
/// </summary>
/// <remarks>
/// Source of the kinds of scaling: transformers, <c>src/transformers/modeling_rope_utils.py</c>, the functions of
/// <c>ROPE_INIT_FUNCTIONS</c> and <c>dynamic_rope_update</c> (commit 0044e3b3facff1a1ad60b235c69d5b45beae75a4, and the versions from 4.56
/// on for <c>truncate</c>, <c>mscale</c> and <c>original_max_position_embeddings</c> of YaRN).
/// </remarks>
internal sealed record Rotation(double[] Frequencies, double Factor = 1.0)
{
    public static Rotation Default(double theta, int size) =>
        new([.. Enumerable.Range(0, size / 2).Select(i => Math.Pow(theta, -2.0 * i / size))]);

    /// <summary>
    /// The rotation of a layer of <paramref name="size"/> rotated elements whose call has <paramref name="length"/> positions, by the
    /// object
    /// <c>rope_scaling</c> (null: none) of a model of <paramref name="maxPositions"/>.
    /// </summary>
    public static Rotation Scaled(JsonNode? scaling, double theta, int size, int length, int maxPositions, int? originalPositions = null)
    {
        if (scaling is null)
            return Default(theta, size);
        double[] plain = Default(theta, size).Frequencies;
        double? Maybe(string name) => scaling[name]?.GetValue<double>();
        double factor = Maybe("factor") ?? 1.0;
        string kind = (scaling["rope_type"] ?? scaling["type"])!.GetValue<string>();
        return kind switch
        {
            "default" => new(plain),
            "linear" => new([.. plain.Select(frequency => frequency / factor)]),
            "dynamic" => Dynamic(theta, size, factor, length, maxPositions),
            "llama3" => Llama3(
                plain, factor, Maybe("low_freq_factor")!.Value, Maybe("high_freq_factor")!.Value,
                Maybe("original_max_position_embeddings")!.Value),
            "yarn" => Yarn(plain, theta, factor, Maybe, maxPositions, scaling["truncate"]?.GetValue<bool>() ?? true),
            "longrope" or "su" => LongRope(plain, scaling, length, maxPositions, originalPositions),
            _ => throw new ArgumentException($"There is no definition of the scaling '{kind}'.", nameof(scaling)),
        };
    }

    /// <summary>Rotates all heads of rows, by <see cref="HalfSplit"/>.</summary>
    public double[][] Rotate(double[][] rows, int headSize) => Float64.EachHead(rows, headSize, HalfSplit);

    /// <summary>Pairs are an element of the first half and one of the second (<c>rotate_half</c>); elements behind them stay.</summary>
    public double[] HalfSplit(double[] head, int position)
    {
        double[] result = [.. head];
        int half = Frequencies.Length;
        for (int i = 0; i < half; i++)
            (result[i], result[i + half]) = Turn(head[i], head[i + half], i, position);
        return result;
    }

    /// <summary>Pairs are neighbours (GPT-J's <c>rotate_every_two</c>); elements behind them stay.</summary>
    public double[] EveryTwo(double[] head, int position)
    {
        double[] result = [.. head];
        for (int i = 0; i < Frequencies.Length; i++)
            (result[2 * i], result[2 * i + 1]) = Turn(head[2 * i], head[2 * i + 1], i, position);
        return result;
    }

    private (double First, double Second) Turn(double first, double second, int pair, int position)
    {
        double cosine = Factor * Math.Cos(position * Frequencies[pair]);
        double sine = Factor * Math.Sin(position * Frequencies[pair]);
        return (first * cosine - second * sine, second * cosine + first * sine);
    }

    // The base grows with calls that are longer than the model was trained for.
    private static Rotation Dynamic(double theta, int size, double factor, int length, int maxPositions)
    {
        double longest = Math.Max(length, maxPositions);
        double grown = theta * Math.Pow(factor * longest / maxPositions - (factor - 1.0), size / (size - 2.0));
        return Default(grown, size);
    }

    // Long waves are divided by the factor, short ones stay, those between are mixed.
    private static Rotation Llama3(double[] plain, double factor, double low, double high, double original)
    {
        double Change(double frequency)
        {
            double wave = 2.0 * Math.PI / frequency;
            if (wave < original / high)
                return frequency;
            if (wave > original / low)
                return frequency / factor;
            double smooth = (original / wave - low) / (high - low);
            return (1.0 - smooth) * frequency / factor + smooth * frequency;
        }

        return new([.. plain.Select(Change)]);
    }

    private static Rotation Yarn(double[] plain, double theta, double factor, Func<string, double?> maybe, int maxPositions, bool truncate)
    {
        int size = 2 * plain.Length;
        double original = maybe("original_max_position_embeddings") ?? maxPositions;
        double Place(double turns) => size * Math.Log(original / (turns * 2.0 * Math.PI)) / (2.0 * Math.Log(theta));
        double low = Place(maybe("beta_fast") ?? 32.0);
        double high = Place(maybe("beta_slow") ?? 1.0);
        if (truncate)
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        (low, high) = (Math.Max(low, 0.0), Math.Min(high, size - 1.0));
        if (low == high)
            high += 0.001;

        static double Magnitude(double scale, double weight) => scale <= 1.0 ? 1.0 : 0.1 * weight * Math.Log(scale) + 1.0;
        double attention = maybe("attention_factor")
            ?? (maybe("mscale") is double mscale && mscale != 0.0 && maybe("mscale_all_dim") is double all && all != 0.0
                ? Magnitude(factor, mscale) / Magnitude(factor, all) : Magnitude(factor, 1.0));
        return new(
            [.. plain.Select((frequency, i) =>
            {
                double ramp = Math.Clamp((i - low) / (high - low), 0.0, 1.0);
                return frequency / factor * ramp + frequency * (1.0 - ramp);
            })],
            attention);
    }

    // Each frequency has a divisor of its own; calls longer than the original context have others.
    private static Rotation LongRope(double[] plain, JsonNode scaling, int length, int maxPositions, int? originalPositions)
    {
        int original = originalPositions ?? maxPositions;
        JsonArray divisors = scaling[length > original ? "long_factor" : "short_factor"]!.AsArray();
        double ratio = originalPositions is null ? scaling["factor"]!.GetValue<double>() : (double)maxPositions / original;
        double attention = scaling["attention_factor"]?.GetValue<double>()
            ?? (ratio <= 1.0 ? 1.0 : Math.Sqrt(1.0 + Math.Log(ratio) / Math.Log(original)));
        return new([.. plain.Select((frequency, i) => frequency / divisors[i]!.GetValue<double>())], attention);
    }
}
