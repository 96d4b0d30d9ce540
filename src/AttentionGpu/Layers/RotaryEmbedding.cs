using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// Rotary position embedding of a layer's queries and keys: Su and others, "RoFormer" (2021). Pair i of a position p is rotated by
/// <c>p * base^(-2i / size)</c>, with the frequency changed by <see cref="Scaling"/>.
/// </summary>
public sealed record RotaryEmbedding
{
    /// <summary>Positions are less than this: tables of sines and cosines have a row for each up to the largest.</summary>
    public const int MaxPositions = 1 << 24;

    /// <summary>The base of the frequencies: <c>rope_theta</c>. Finite and more than 0.</summary>
    public double Base { get; init; } = 10_000.0;

    /// <summary>
    /// Elements at the start of a head that are rotated; null for all. Even, from 2 to the head size (partial rotary embedding).
    /// </summary>
    public int? Size { get; init; }

    /// <summary>
    /// Whether the elements of a pair are neighbours (GPT-J, the original weights of Llama), rather than half the rotary size apart
    /// (GPT-NeoX, Hugging
    /// Face's weights of Llama).
    /// </summary>
    public bool Interleaved { get; init; }

    /// <summary>How frequencies are changed for contexts longer than those of the training; null for not at all.</summary>
    public RotaryScaling? Scaling { get; init; }

    /// <summary>Throws where a member is out of range for a head size.</summary>
    internal void Validate(int headSize)
    {
        if (!(double.IsFinite(Base) && Base > 0.0))
            throw BadInput.OutOfRange("config", Base, "Rotary.Base must be finite and more than 0.");
        int size = ActualSize(headSize);
        if (size < 2 || size > headSize || size % 2 != 0)
            throw BadInput.OutOfRange("config", size, $"Rotary.Size must be even, and 2 to the head size {headSize}.");
        Scaling?.Validate(Base, size);
    }

    internal int ActualSize(int headSize) => Size ?? headSize;

    /// <summary>The <see cref="RotaryScaling.Stage"/> of calls whose largest position is one less.</summary>
    internal int Stage(int positions) => Scaling?.Stage(positions) ?? 0;

    /// <summary>
    /// Cosines and sines of <paramref name="count"/> positions from a first one on: [count, rotary size / 2] each, computed in float64.
    /// </summary>
    internal (float[] Cosine, float[] Sine) Tables(int headSize, int stage, int first, int count)
    {
        int size = ActualSize(headSize);
        int half = size / 2;
        double[] frequencies = new double[half];
        for (int i = 0; i < half; i++)
            frequencies[i] = Math.Pow(Base, -2.0 * i / size);
        double magnitude = Scaling?.Apply(frequencies, Base, size, stage) ?? 1.0;
        float[] cosine = new float[(long)count * half];
        float[] sine = new float[cosine.Length];
        for (int row = 0; row < count; row++)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = ((double)first + row) * frequencies[i];
                cosine[(long)row * half + i] = (float)(magnitude * Math.Cos(angle));
                sine[(long)row * half + i] = (float)(magnitude * Math.Sin(angle));
            }
        }

        return (cosine, sine);
    }
}
