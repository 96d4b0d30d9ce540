using System.Globalization;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Kinds whose frequencies depend on the length of a call: its largest position and one.</content>
public abstract partial record RotaryScaling
{
    /// <summary>
    /// The base grows with the length of a call beyond the original context, by
    /// <c>(factor * length / original - (factor - 1))^(size / (size - 2))</c>: dynamic NTK, <c>rope_type: dynamic</c> of transformers.
    /// </summary>
    /// <remarks>
    /// All tokens of a call are rotated by its length. Keys that were rotated in a shorter call stay as they are. Ragged sequences of
    /// several lengths beyond the original context are refused.
    /// </remarks>
    /// <param name="factor">Finite and at least 1.</param>
    /// <param name="originalContext">Positions that the model was trained on: <c>max_position_embeddings</c>; at least 1.</param>
    public static RotaryScaling Dynamic(double factor, int originalContext) => new DynamicScaling(factor, originalContext);

    /// <summary>
    /// A divisor of its own for each frequency, of one list in calls up to the original context and of another in longer ones: LongRoPE
    /// (Ding and others, 2024), <c>rope_type: longrope</c> of transformers (Phi-3).
    /// </summary>
    /// <remarks>As for <see cref="Dynamic"/>; ragged sequences must be all within the original context, or all longer.</remarks>
    /// <param name="shortDivisors">Half as many as rotated elements; finite and more than 0.</param>
    /// <param name="longDivisors">The same for longer calls.</param>
    /// <param name="originalContext">Positions that the model was first trained on; at least 1.</param>
    /// <param name="magnitude">A factor for cosines and sines; finite and more than 0.</param>
    public static RotaryScaling LongRope(
        IReadOnlyList<double> shortDivisors, IReadOnlyList<double> longDivisors, int originalContext, double magnitude)
    {
        ArgumentNullException.ThrowIfNull(shortDivisors);
        ArgumentNullException.ThrowIfNull(longDivisors);
        return new LongRopeScaling([.. shortDivisors], [.. longDivisors], originalContext, magnitude);
    }

    private sealed record DynamicScaling(double Factor, int OriginalContext) : RotaryScaling
    {
        internal override string Text =>
            string.Create(CultureInfo.InvariantCulture, $"dynamic NTK scaling by {Factor} beyond {OriginalContext}");

        internal override int Stage(int positions) => positions <= OriginalContext ? 0 : positions;

        internal override void Validate(double rotaryBase, int size)
        {
            RequireFactor(Factor);
            Require(OriginalContext >= 1, "original context", OriginalContext, "at least 1");
            if (size <= 2)
                throw BadInput.OutOfRange("config", size, "Rotary.Size must be more than 2 where Rotary.Scaling is dynamic.");
        }

        internal override double Apply(Span<double> frequencies, double rotaryBase, int size, int stage)
        {
            if (stage == 0)
                return 1.0;
            double growth = Math.Pow(Factor * stage / OriginalContext - (Factor - 1.0), size / (size - 2.0));
            for (int i = 0; i < frequencies.Length; i++)
                frequencies[i] = Math.Pow(rotaryBase * growth, -2.0 * i / size);
            return 1.0;
        }
    }

    private sealed record LongRopeScaling(double[] ShortDivisors, double[] LongDivisors, int OriginalContext, double Magnitude)
        : RotaryScaling
    {
        internal override string Text => string.Create(CultureInfo.InvariantCulture, $"LongRoPE beyond {OriginalContext}");

        internal override int Stage(int positions) => positions <= OriginalContext ? 0 : 1;

        public bool Equals(LongRopeScaling? other) =>
            other is not null && ShortDivisors.AsSpan().SequenceEqual(other.ShortDivisors)
            && LongDivisors.AsSpan().SequenceEqual(other.LongDivisors)
            && OriginalContext == other.OriginalContext && Magnitude.Equals(other.Magnitude);

        public override int GetHashCode() => HashCode.Combine(ShortDivisors.Length, OriginalContext, Magnitude);

        internal override void Validate(double rotaryBase, int size)
        {
            RequireDivisors(ShortDivisors, "short divisors", size / 2);
            RequireDivisors(LongDivisors, "long divisors", size / 2);
            Require(OriginalContext >= 1, "original context", OriginalContext, "at least 1");
            Require(double.IsFinite(Magnitude) && Magnitude > 0.0, "magnitude", Magnitude, "finite and more than 0");
        }

        internal override double Apply(Span<double> frequencies, double rotaryBase, int size, int stage)
        {
            double[] divisors = stage == 0 ? ShortDivisors : LongDivisors;
            for (int i = 0; i < frequencies.Length; i++)
                frequencies[i] /= divisors[i];
            return Magnitude;
        }

        private static void RequireDivisors(double[] divisors, string name, int pairs)
        {
            Require(divisors.Length == pairs, $"number of {name}", divisors.Length, $"{pairs}, half the rotated elements");
            foreach (double divisor in divisors)
                Require(double.IsFinite(divisor) && divisor > 0.0, name, divisor, "finite and more than 0");
        }
    }
}
