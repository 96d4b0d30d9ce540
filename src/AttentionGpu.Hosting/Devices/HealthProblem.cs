using System.Numerics.Tensors;

namespace AttentionGpu.Hosting.Devices;

/// <summary>A small attention whose result is known: whether a device works.</summary>
internal static class HealthProblem
{
    private const int Heads = 2;
    private const int Length = 12;
    private const int Size = 16;
    private const float Tolerance = 1e-4f;

    // A failure to make it is not kept.
    private static readonly Lazy<float[]> _expected = new(
        () =>
        {
            using var reference = new AttentionEngine("reference");
            return Run(reference);
        },
        LazyThreadSafetyMode.PublicationOnly);

    /// <summary>Whether an engine computes as the reference does. Throws what the device throws.</summary>
    public static bool IsRight(AttentionEngine engine)
    {
        float[] difference = [.. Run(engine).Zip(_expected.Value, (actual, expected) => MathF.Abs(actual - expected))];
        return TensorPrimitives.Max(difference) <= Tolerance;
    }

    private static float[] Run(AttentionEngine engine)
    {
        nint[] lengths = [1, Heads, Length, Size];
        var random = new Random(1);
        float[][] inputs =
        [
            .. Enumerable.Range(0, 3)
                .Select(_ => Enumerable.Range(0, Heads * Length * Size).Select(_ => random.NextSingle() - 0.5f).ToArray()),
        ];
        var output = new float[Heads * Length * Size];
        engine.ScaledDotProductAttention<float>(
            new ReadOnlyTensorSpan<float>(inputs[0], lengths), new ReadOnlyTensorSpan<float>(inputs[1], lengths),
            new ReadOnlyTensorSpan<float>(inputs[2], lengths), new TensorSpan<float>(output, lengths),
            new AttentionOptions { Causal = Causal.TopLeft });
        return output;
    }
}
