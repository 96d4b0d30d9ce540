using System.Globalization;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// How the frequencies of rotary embedding are changed for long contexts: <c>rope_scaling</c> of a model's configuration.
/// </summary>
public abstract partial record RotaryScaling
{
    private protected RotaryScaling()
    {
    }

    /// <summary>All frequencies divided by a factor: position interpolation (Chen and others, 2023).</summary>
    /// <param name="factor">How many times longer the context becomes; finite and at least 1.</param>
    public static RotaryScaling Linear(double factor) => new LinearScaling(factor);

    /// <summary>
    /// Low frequencies divided by a factor, high ones kept, those between blended: Llama 3.1's <c>rope_type: llama3</c>.
    /// </summary>
    /// <param name="factor">How many times longer the context becomes; finite and at least 1.</param>
    /// <param name="lowFrequencyFactor">
    /// Wavelengths longer than the original context by this divisor are scaled in full; more than 0.
    /// </param>
    /// <param name="highFrequencyFactor">
    /// Wavelengths shorter than the original context by this divisor are kept; more than the low one.
    /// </param>
    /// <param name="originalContext">
    /// Positions that the model was first trained on: <c>original_max_position_embeddings</c>; at least 1.
    /// </param>
    public static RotaryScaling Llama3(double factor, double lowFrequencyFactor, double highFrequencyFactor, int originalContext) =>
        new Llama3Scaling(factor, lowFrequencyFactor, highFrequencyFactor, originalContext);

    /// <summary>
    /// YaRN (Peng and others, 2023): frequencies that turn often inside the original context are kept, slow ones divided by a factor, with
    /// a ramp
    /// between; cosines and sines grow by <c>0.1 ln(factor) + 1</c>.
    /// </summary>
    /// <param name="factor">How many times longer the context becomes; finite and at least 1.</param>
    /// <param name="originalContext">Positions that the model was first trained on; at least 1.</param>
    /// <param name="betaFast">Turns inside the original context from which frequencies are kept.</param>
    /// <param name="betaSlow">
    /// Turns inside the original context up to which frequencies are divided in full; more than 0, less than <paramref name="betaFast"/>.
    /// </param>
    /// <param name="magnitude">A factor for cosines and sines; null for <c>0.1 ln(factor) + 1</c>.</param>
    /// <param name="truncate">Whether the ends of the ramp are rounded to whole pairs, as in the paper's code; gpt-oss does not.</param>
    public static RotaryScaling Yarn(
        double factor, int originalContext, double betaFast = 32.0, double betaSlow = 1.0, double? magnitude = null, bool truncate = true) =>
        new YarnScaling(factor, originalContext, betaFast, betaSlow, magnitude, truncate);

    /// <summary>The kind and the factor, in words.</summary>
    internal abstract string Text { get; }

    /// <summary>
    /// Throws where a member is out of range, or does not go together with the base of the frequencies or the rotated size.
    /// </summary>
    internal abstract void Validate(double rotaryBase, int size);

    /// <summary>
    /// A number for calls whose frequencies are the same, by the largest position of a call and one: 0 for all but kinds that depend on it.
    /// </summary>
    internal virtual int Stage(int positions) => 0;

    /// <summary>Changes the frequency of each pair, and returns the factor of cosines and sines.</summary>
    /// <param name="frequencies">One a pair.</param>
    /// <param name="rotaryBase">The base of the frequencies.</param>
    /// <param name="size">Rotated elements of a head.</param>
    /// <param name="stage">The call's <see cref="Stage"/>.</param>
    internal abstract double Apply(Span<double> frequencies, double rotaryBase, int size, int stage);

    private protected static void Require(bool holds, string name, object value, string rule)
    {
        if (!holds)
            throw BadInput.OutOfRange("config", value, $"Rotary.Scaling's {name} must be {rule}.");
    }

    private sealed record LinearScaling(double Factor) : RotaryScaling
    {
        internal override string Text => string.Create(CultureInfo.InvariantCulture, $"linear scaling by {Factor}");

        internal override void Validate(double rotaryBase, int size) => RequireFactor(Factor);

        internal override double Apply(Span<double> frequencies, double rotaryBase, int size, int stage)
        {
            foreach (ref double frequency in frequencies)
                frequency /= Factor;
            return 1.0;
        }
    }

    private sealed record Llama3Scaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext)
        : RotaryScaling
    {
        internal override string Text => string.Create(CultureInfo.InvariantCulture, $"Llama 3 scaling by {Factor}");

        internal override void Validate(double rotaryBase, int size)
        {
            RequireFactor(Factor);
            Require(LowFrequencyFactor > 0.0, "low frequency factor", LowFrequencyFactor, "more than 0");
            Require(
                double.IsFinite(HighFrequencyFactor) && HighFrequencyFactor > LowFrequencyFactor, "high frequency factor", HighFrequencyFactor,
                $"finite and more than the low frequency factor {LowFrequencyFactor}");
            Require(OriginalContext >= 1, "original context", OriginalContext, "at least 1");
        }

        internal override double Apply(Span<double> frequencies, double rotaryBase, int size, int stage)
        {
            foreach (ref double frequency in frequencies)
            {
                double turns = OriginalContext * frequency / (2.0 * Math.PI);
                double kept = Math.Clamp((turns - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor), 0.0, 1.0);
                frequency = (1.0 - kept) * frequency / Factor + kept * frequency;
            }

            return 1.0;
        }
    }

    private sealed record YarnScaling(
        double Factor, int OriginalContext, double BetaFast, double BetaSlow, double? Magnitude, bool Truncate) : RotaryScaling
    {
        internal override string Text => string.Create(CultureInfo.InvariantCulture, $"YaRN scaling by {Factor}");

        internal override void Validate(double rotaryBase, int size)
        {
            RequireFactor(Factor);
            Require(OriginalContext >= 1, "original context", OriginalContext, "at least 1");
            Require(BetaSlow > 0.0, "slow beta", BetaSlow, "more than 0");
            Require(double.IsFinite(BetaFast) && BetaFast > BetaSlow, "fast beta", BetaFast, $"finite and more than the slow beta {BetaSlow}");

            // The ramp lies between two numbers of turns, which fall from pair to pair for such a base alone.
            if (rotaryBase <= 1.0)
                throw BadInput.OutOfRange("config", rotaryBase, "Rotary.Base must be more than 1 where Rotary.Scaling is YaRN.");
            Require(
                Magnitude is not double given || (double.IsFinite(given) && given > 0.0), "magnitude", Magnitude ?? 0.0,
                "finite and more than 0");
        }

        internal override double Apply(Span<double> frequencies, double rotaryBase, int size, int stage)
        {
            double low = PairOf(BetaFast, rotaryBase, size);
            double high = PairOf(BetaSlow, rotaryBase, size);
            if (Truncate)
                (low, high) = (Math.Floor(low), Math.Ceiling(high));
            low = Math.Max(low, 0.0);
            high = Math.Min(high, size - 1.0);
            if (low == high)
                high += 0.001;
            for (int i = 0; i < frequencies.Length; i++)
            {
                double divided = Math.Clamp((i - low) / (high - low), 0.0, 1.0);
                frequencies[i] = frequencies[i] / Factor * divided + frequencies[i] * (1.0 - divided);
            }

            return Magnitude ?? (Factor <= 1.0 ? 1.0 : 0.1 * Math.Log(Factor) + 1.0);
        }

        // The pair, as a real number, that turns so often inside the original context.
        private double PairOf(double turns, double rotaryBase, int size) =>
            size * Math.Log(OriginalContext / (turns * 2.0 * Math.PI)) / (2.0 * Math.Log(rotaryBase));
    }

    private protected static void RequireFactor(double factor) =>
        Require(double.IsFinite(factor) && factor >= 1.0, "factor", factor, "finite and at least 1");
}
