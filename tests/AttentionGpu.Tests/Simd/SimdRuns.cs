using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>The host backend at every width, against the float64 reference.</summary>
internal sealed class SimdRuns(int threads) : IDisposable
{
    private readonly (int Width, AttentionEngine Engine)[] _engines =
        [.. Widths.Select(width => (width, new AttentionEngine(new SimdBackend(width, threads))))];

    /// <summary>Bits of a vector; a width that the machine lacks runs in software.</summary>
    public static IReadOnlyList<int> Widths { get; } = [512, 256, 128];

    public void Dispose()
    {
        foreach ((_, AttentionEngine engine) in _engines)
            engine.Dispose();
    }

    /// <summary>Runs a problem at every width, into outputs full of NaN.</summary>
    public void AssertAgree(VariantCase problem, string context)
    {
        VariantResult expected = VariantRun.OnReference(problem);
        foreach ((int width, AttentionEngine engine) in _engines)
            expected.AssertClose(VariantRun.Run(problem, engine), problem, $"{width} bits, {context}, {problem.Kind}, {problem.Options}");
    }
}
