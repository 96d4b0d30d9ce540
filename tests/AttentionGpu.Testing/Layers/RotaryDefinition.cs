namespace AttentionGpu.Tests.Layers;

/// <summary>Which published formula changes the frequencies of a rotary embedding.</summary>
internal enum ScalingForm
{
    None,
    Linear,
    Llama3,
    Yarn,

    /// <summary>Dynamic NTK, by the length of a call.</summary>
    Dynamic,

    /// <summary>LongRoPE, of two lists by the length of a call.</summary>
    LongRope,
}

/// <summary>
/// A rotary embedding straight from its published formulas, in float64: RoFormer's, and those of transformers'
/// <c>modeling_rope_utils.py</c> for longer contexts. It shares no code with the product.
/// </summary>
internal sealed record RotaryDefinition(double Base, int Size)
{
    public bool Interleaved { get; init; }

    public ScalingForm Scaling { get; init; }

    /// <summary><c>factor</c>.</summary>
    public double Factor { get; init; } = 1.0;

    /// <summary><c>low_freq_factor</c> of Llama 3, <c>beta_slow</c> of YaRN.</summary>
    public double Low { get; init; } = 1.0;

    /// <summary><c>high_freq_factor</c> of Llama 3, <c>beta_fast</c> of YaRN.</summary>
    public double High { get; init; } = 32.0;

    /// <summary><c>original_max_position_embeddings</c>.</summary>
    public int OriginalContext { get; init; } = 4096;

    /// <summary><c>attention_factor</c>; null for YaRN's own.</summary>
    public double? Magnitude { get; init; }

    /// <summary><c>short_factor</c>.</summary>
    public double[] ShortDivisors { get; init; } = [];

    /// <summary><c>long_factor</c>.</summary>
    public double[] LongDivisors { get; init; } = [];

    /// <summary>Whether frequencies depend on the length of a call.</summary>
    public bool DependsOnLength => Scaling is ScalingForm.Dynamic or ScalingForm.LongRope;

    /// <summary><c>truncate</c>.</summary>
    public bool Truncate { get; init; } = true;

    /// <summary>The product's form of it.</summary>
    public RotaryEmbedding ToEmbedding() => new()
    {
        Base = Base,
        Size = Size,
        Interleaved = Interleaved,
        Scaling = Scaling switch
        {
            ScalingForm.None => null,
            ScalingForm.Linear => RotaryScaling.Linear(Factor),
            ScalingForm.Llama3 => RotaryScaling.Llama3(Factor, Low, High, OriginalContext),
            ScalingForm.Dynamic => RotaryScaling.Dynamic(Factor, OriginalContext),
            ScalingForm.LongRope => RotaryScaling.LongRope(ShortDivisors, LongDivisors, OriginalContext, MagnitudeFactor()),
            _ => RotaryScaling.Yarn(Factor, OriginalContext, High, Low, Magnitude, Truncate),
        },
    };

    /// <summary>The angle between two positions of a pair, in a call whose largest position is one less than the length.</summary>
    public double Frequency(int pair, int length)
    {
        double frequency = 1.0 / Math.Pow(Base, 2.0 * pair / Size);
        return Scaling switch
        {
            ScalingForm.None => frequency,
            ScalingForm.Linear => frequency / Factor,
            ScalingForm.Llama3 => Llama3(frequency),
            ScalingForm.Dynamic => Dynamic(pair, length),
            ScalingForm.LongRope => frequency / (length > OriginalContext ? LongDivisors : ShortDivisors)[pair],
            _ => Yarn(frequency, pair),
        };
    }

    /// <summary>What cosines and sines are multiplied by.</summary>
    public double MagnitudeFactor() => Scaling switch
    {
        ScalingForm.Yarn => Magnitude ?? (Factor > 1.0 ? 0.1 * Math.Log(Factor) + 1.0 : 1.0),
        ScalingForm.LongRope => Magnitude ?? (Factor > 1.0 ? Math.Sqrt(1.0 + Math.Log(Factor) / Math.Log(OriginalContext)) : 1.0),
        _ => 1.0,
    };

    /// <summary>Rotates the first elements of a row in place.</summary>
    public void Rotate(Span<double> row, int position, int length)
    {
        double magnitude = MagnitudeFactor();
        for (int pair = 0; pair < Size / 2; pair++)
        {
            (int first, int second) = Interleaved ? (2 * pair, 2 * pair + 1) : (pair, pair + Size / 2);
            (double sine, double cosine) = Math.SinCos(position * Frequency(pair, length));
            (row[first], row[second]) = (
                magnitude * (row[first] * cosine - row[second] * sine), magnitude * (row[second] * cosine + row[first] * sine));
        }
    }

    private double Llama3(double frequency)
    {
        double wavelength = 2.0 * Math.PI / frequency;
        if (wavelength < OriginalContext / High)
            return frequency;
        if (wavelength > OriginalContext / Low)
            return frequency / Factor;
        double smooth = (OriginalContext / wavelength - Low) / (High - Low);
        return (1.0 - smooth) * (frequency / Factor) + smooth * frequency;
    }

    // _compute_dynamic_ntk_parameters.
    private double Dynamic(int pair, int length)
    {
        double reached = Math.Max(length, OriginalContext);
        double grown = Base * Math.Pow(Factor * reached / OriginalContext - (Factor - 1.0), Size / (Size - 2.0));
        return 1.0 / Math.Pow(grown, 2.0 * pair / Size);
    }

    private double Yarn(double frequency, int pair)
    {
        double start = CorrectionPair(High);
        double end = CorrectionPair(Low);
        if (Truncate)
            (start, end) = (Math.Floor(start), Math.Ceiling(end));
        start = Math.Max(start, 0.0);
        end = Math.Min(end, Size - 1.0);
        if (start == end)
            end += 0.001;
        double interpolated = Math.Min(Math.Max((pair - start) / (end - start), 0.0), 1.0);
        return frequency / Factor * interpolated + frequency * (1.0 - interpolated);
    }

    // The pair that makes so many turns inside the original context.
    private double CorrectionPair(double turns) =>
        Size * Math.Log(OriginalContext / (turns * 2.0 * Math.PI)) / (2.0 * Math.Log(Base));
}
