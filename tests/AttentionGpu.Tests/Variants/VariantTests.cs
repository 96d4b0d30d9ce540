using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>Every variant of attention, and every pair of variants, drawn at random.</summary>
public class VariantTests
{
    private const int Problems = 500;

    // The emulator takes a thread switch for each barrier.
    private const int DeviceProblems = 60;
    private const int EmulatedLength = 24;
    private const int HostLength = 150;
    private const int OracleProblems = 150;
    private const int OracleLength = 40;

    [Fact]
    public void Kinds_have_every_pair_that_goes_together()
    {
        IReadOnlyList<VariantKind> kinds = VariantPairs.Draw(new Random(1));
        Assert.All(kinds, kind => Assert.True(kind.IsValid));

        // Missing pairs exclude each other: a prefix and nothing causal, choices that ragged sequences cannot have, other layouts than the
        // default where the batch is left out, and grouped heads where heads are left out.
        Assert.All(VariantPairs.Missing(kinds), pair => Assert.True(
            pair.ToString() == "no causal with prefix"
            || pair.ToString().Contains("ragged sequences", StringComparison.Ordinal)
            || pair.ToString().EndsWith(" with [heads, length, size]", StringComparison.Ordinal)
            || pair.ToString().EndsWith(" with [length, size]", StringComparison.Ordinal),
            pair.ToString()));
        for (int factor = 0; factor < VariantKind.Factors.Count; factor++)
            Assert.Equal(VariantKind.Factors[factor].Choices.Length, kinds.Select(kind => kind.Choices[factor]).Distinct().Count());
    }

    [Fact]
    public void Reference_agrees_with_the_definition() =>
        AssertAgreement(Engines.Reference, 1, HostLength / 4, NaiveAttention.Run);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Backend_agrees_with_the_reference(string backend) =>
        AssertAgreement(
            Engines.Get(backend), Fuzz.ProblemsOfKind(backend),
            backend.StartsWith("ilgpu-cpu", StringComparison.Ordinal) ? EmulatedLength : HostLength, VariantRun.OnReference);

    [Theory]
    [InlineData(512, 5)]
    [InlineData(256, 3)]
    [InlineData(128, 1)]
    public void Every_width_agrees_with_the_reference(int width, int threads)
    {
        using var engine = new AttentionEngine(new SimdBackend(width, threads));
        AssertAgreement(engine, 1, HostLength, VariantRun.OnReference);
    }

    [Fact]
    public void Reference_agrees_with_ONNX_Runtime()
    {
        var random = new Random();
        IReadOnlyList<VariantKind> kinds = VariantPairs.Draw(random);
        for (int i = 0; i < OracleProblems; i++)
        {
            var problem = VariantCase.Create(OnnxRuntimeVariants.Nearest(kinds[i % kinds.Count]), random, OracleLength);
            string context = $"problem {i}: {problem.Kind}";
            OnnxRuntimeVariants.Run(problem).AssertClose(VariantRun.Run(problem, Engines.Reference), problem, context);
        }
    }

    private static void AssertAgreement(
        AttentionEngine engine, int problemsOfKind, int maxLength, Func<VariantCase, VariantResult> expected)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        int problems = Fuzz.Problems(engine.Device.Kind is DeviceKind.Simd or DeviceKind.Reference ? Problems : DeviceProblems);
        var kinds = new Queue<VariantKind>();
        for (int i = 0; i < problems; i++)
        {
            // Every pair of choices is among the kinds of a drawing.
            if (kinds.Count == 0)
                kinds = new(VariantPairs.Draw(random));
            VariantKind kind = kinds.Peek();
            if ((i + 1) % problemsOfKind == 0)
                kinds.Dequeue();
            int own = random.Next();
            var problem = VariantCase.Create(kind, new Random(own), maxLength);
            string context = $"seed {seed}, problem {i} ({own}): {kind}";
            try
            {
                expected(problem).AssertClose(VariantRun.Run(problem, engine), problem, context);
            }
            catch (Exception exception) when (exception is not Xunit.Sdk.XunitException)
            {
                throw new InvalidOperationException(context, exception);
            }
        }
    }
}
