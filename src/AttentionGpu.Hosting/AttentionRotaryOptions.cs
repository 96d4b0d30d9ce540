namespace AttentionGpu.Hosting;

/// <summary>How the frequencies of a layer's rotary embedding are changed: a method of <see cref="RotaryScaling"/>.</summary>
public enum AttentionRotaryScaling
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary><see cref="RotaryScaling.Linear"/>.</summary>
    Linear,

    /// <summary><see cref="RotaryScaling.Llama3"/>.</summary>
    Llama3,

    /// <summary><see cref="RotaryScaling.Yarn"/>.</summary>
    Yarn,
}

/// <summary>A <see cref="RotaryEmbedding"/>, as configuration states it.</summary>
public sealed class AttentionRotaryOptions
{
    /// <summary>See <see cref="RotaryEmbedding.Base"/>; it must be given.</summary>
    public double? Base { get; set; }

    /// <summary>See <see cref="RotaryEmbedding.Size"/>.</summary>
    public int? Size { get; set; }

    /// <summary>See <see cref="RotaryEmbedding.Interleaved"/>.</summary>
    public bool Interleaved { get; set; }

    /// <summary>Which of the numbers below are needed, and how they are used; the others must be left out.</summary>
    public AttentionRotaryScaling Scaling { get; set; }

    /// <summary>How many times longer the context becomes (Linear, Llama3, Yarn).</summary>
    public double? Factor { get; set; }

    /// <summary>See <see cref="RotaryScaling.Llama3"/>.</summary>
    public double? LowFrequencyFactor { get; set; }

    /// <summary>See <see cref="RotaryScaling.Llama3"/>.</summary>
    public double? HighFrequencyFactor { get; set; }

    /// <summary>Positions that the model was first trained on (Llama3, Yarn).</summary>
    public int? OriginalContext { get; set; }

    /// <summary>The embedding; null where an option is missing, or has no effect.</summary>
    internal RotaryEmbedding? ToEmbedding()
    {
        (bool Valid, RotaryScaling? Scaling) scaling = (Scaling, Factor, LowFrequencyFactor, HighFrequencyFactor, OriginalContext) switch
        {
            (AttentionRotaryScaling.None, null, null, null, null) => (true, null),
            (AttentionRotaryScaling.Linear, double factor, null, null, null) => (true, RotaryScaling.Linear(factor)),
            (AttentionRotaryScaling.Llama3, double factor, double low, double high, int context) =>
                (true, RotaryScaling.Llama3(factor, low, high, context)),
            (AttentionRotaryScaling.Yarn, double factor, null, null, int context) => (true, RotaryScaling.Yarn(factor, context)),
            _ => (false, null),
        };
        return Base is double rotaryBase && scaling.Valid
            ? new RotaryEmbedding { Base = rotaryBase, Size = Size, Interleaved = Interleaved, Scaling = scaling.Scaling }
            : null;
    }

    /// <summary>What is said where <see cref="ToEmbedding"/> finds none.</summary>
    internal static string Error(string layer) =>
        $"Rotary of the layer '{layer}' must have a Base, and the numbers of its Scaling and no others: Factor (Linear); Factor, "
        + "LowFrequencyFactor, HighFrequencyFactor and OriginalContext (Llama3); Factor and OriginalContext (Yarn).";
}
