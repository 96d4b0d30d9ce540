using System.Numerics.Tensors;
using System.Runtime.Intrinsics;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>
/// Keys split into parts whose states are merged. The plan counts parts of many queries by the engine's threads alone, so the number of
/// cores changes nothing. Each test asserts that the plan which ran did split.
/// </summary>
public sealed class KeySplitTests : IDisposable
{
    private const int Threads = 16;
    private const int Keys = 1300;
    private const int Hidden = 1100;
    private const int FewQueries = 2;

    // Blocks of queries at every width: one with half the lanes of 512 bits, two with 256, three with 128.
    private const int ManyQueries = 17;

    private static readonly string[][] _kinds =
    [
        [], ["causal, top left"], ["causal, bottom right"], ["causal, bottom right", "prefix"], ["window to the left"],
        ["window to the right"], ["window to both sides"], ["window, aligned bottom right"], ["softcap"], ["ALiBi"], ["boolean mask"],
        ["additive mask with -inf"],
        ["documents"], ["key lengths"], ["past"], ["ragged sequences"], ["ragged sequences", "causal, bottom right"],
        ["ragged sequences", "ALiBi"], ["ragged sequences", "bias by distance"],
        ["ragged sequences", "window, aligned bottom right"], ["ragged sequences", "softcap"],
        ["float16"], ["bfloat16", "ragged sequences"], ["causal, top left", "window to the left", "ALiBi"],
    ];

    private readonly SplitBackend[] _backends = [.. SimdRuns.Widths.Select(width => new SplitBackend(width))];
    private readonly AttentionEngine[] _engines;

    public KeySplitTests() => _engines = [.. _backends.Select(backend => new AttentionEngine(backend))];

    public void Dispose()
    {
        foreach (AttentionEngine engine in _engines)
            engine.Dispose();
    }

    [Theory]
    [InlineData(FewQueries, false)]
    [InlineData(FewQueries, true)]
    [InlineData(ManyQueries, false)]
    [InlineData(ManyQueries, true)]
    public void Merged_parts_agree_with_the_reference(int queries, bool sinks)
    {
        foreach (string[] kind in _kinds)
        {
            string[] choices = [.. kind, "grouped heads", "log-sum-exp", .. sinks ? ["sinks"] : Array.Empty<string>()];
            AssertSplit(Create(queries, choices), string.Join(", ", choices));
        }
    }

    /// <summary>A sink as large as the largest score: left out, it changes the output by a half.</summary>
    [Theory]
    [InlineData(FewQueries)]
    [InlineData(ManyQueries)]
    public void A_large_sink_takes_its_share_once(int queries)
    {
        VariantCase problem = Create(queries, "sinks", "grouped heads", "log-sum-exp");
        AssertSplit(problem with { Sinks = Tensor.Create([7f, 8f, 0f, float.NegativeInfinity], [4]) }, "large sinks");
    }

    [Theory]
    [InlineData(FewQueries)]
    [InlineData(ManyQueries)]
    public void Parts_that_a_row_does_not_see_add_nothing(int queries)
    {
        // Row 0 sees no key, row 1 one of the last part, the others all but the first 1,100.
        VariantCase problem = Create(queries, "sinks", "log-sum-exp", "additive mask");
        var bias = new float[queries * Keys];
        bias.AsSpan(0, Keys).Fill(float.NegativeInfinity);
        bias.AsSpan(Keys, Keys - 1).Fill(float.NegativeInfinity);
        for (int query = 2; query < queries; query++)
            bias.AsSpan(query * Keys, Hidden).Fill(float.NegativeInfinity);
        problem = problem with { Bias = Tensor.Create(bias, [queries, Keys]) };
        AssertSplit(problem, "hidden parts with sinks");
        AssertSplit(
            problem with { Kind = VariantKind.With("log-sum-exp", "additive mask"), Sinks = null }, "hidden parts");
    }

    /// <summary>Each part has a maximum of its own, far from the others': sums of values are shrunk by all that lies between.</summary>
    [Theory]
    [InlineData(FewQueries)]
    [InlineData(ManyQueries)]
    public void Parts_of_different_size_are_weighed_against_each_other(int queries)
    {
        foreach (bool rises in new[] { true, false })
        {
            VariantCase problem = Create(queries, "log-sum-exp", "additive mask");
            var bias = new float[Keys];
            for (int key = 0; key < Keys; key++)
                bias[key] = (rises ? key : Keys - 1 - key) / 100f;
            AssertSplit(problem with { Bias = Tensor.Create(bias, [1, Keys]) }, $"rises: {rises}");
        }
    }

    private static VariantCase Create(int queries, params string[] choices)
    {
        var kind = VariantKind.With(choices);
        bool ragged = kind.Sequences == SequenceForm.Ragged;

        // Of the ragged sequences one has no queries, one has fewer keys than there are parts, and one has no keys.
        var sizes = new VariantSizes(
            1, 2, 2, 3, 5, ragged ? [queries, 0, 1, queries - 1] : [queries], ragged ? [Keys, 40, 3, 0] : [Keys], 30);
        return VariantCase.Create(kind, new Random(3), sizes);
    }

    private void AssertSplit(VariantCase problem, string context)
    {
        VariantResult expected = VariantRun.OnReference(problem);
        for (int i = 0; i < _engines.Length; i++)
        {
            _backends[i].Parts = 0;
            VariantResult actual = VariantRun.Run(problem, _engines[i]);
            Assert.True(_backends[i].Parts > 1, $"{context}: the keys were not split.");
            expected.AssertClose(actual, problem, $"{SimdRuns.Widths[i]} bits, {context}");
        }
    }

    /// <summary>Keeps how many parts the last plan that ran had.</summary>
    private sealed class SplitBackend(int width) : DelegatingBackend(new SimdBackend(width, Threads))
    {
        public int Parts { get; set; }

        protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
            AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) =>
            new WatchedPlan<AttentionExtent, AttentionBuffers>(
                plan,
                before: (extent, _) => Parts = plan switch
                {
                    SimdAttentionPlan<Vector512<float>, Operations512> wide => PartsOf(wide, extent),
                    SimdAttentionPlan<Vector256<float>, Operations256> middle => PartsOf(middle, extent),
                    SimdAttentionPlan<Vector128<float>, Operations128> narrow => PartsOf(narrow, extent),
                    _ => throw new NotSupportedException(plan.GetType().Name),
                });

        private static int PartsOf<TVector, TOperations>(SimdAttentionPlan<TVector, TOperations> plan, in AttentionExtent extent)
            where TVector : unmanaged
            where TOperations : struct, IVectorOperations<TVector> =>
            FewQueriesSchedule<TVector, TOperations>.AreFew(extent.QueryLength)
                ? FewQueriesSchedule<TVector, TOperations>.Parts(extent.KeyLength)
                : plan.Schedule(extent).KeyParts;
    }
}
