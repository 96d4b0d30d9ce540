using System.Runtime.Intrinsics;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Keys and values that are stored otherwise than queries, and whose rows a kernel gets in runs.</summary>
public sealed class KeyValueFormTests : IDisposable
{
    private const int Batch = 2;
    private const int Heads = 4;
    private const int KeyValueHeads = 2;
    private const int HeadSize = 20;
    private const int ValueSize = 13;

    // Few queries, and blocks of queries at every width; the keys are more than a block has.
    private static readonly (int Queries, int Keys)[] _lengths = [(1, 300), (3, 40), (40, 230)];
    private static readonly int[] _runs = [1, 5, 16, 17, 100];
    private static readonly ElementType[] _elements = [ElementType.Float32, ElementType.Float16, ElementType.BFloat16];

    private static readonly ScoreStage?[] _stages =
        [null, ScoreStage.Products, ScoreStage.Masked, ScoreStage.Weights, ScoreStage.AverageWeights];

    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Keys_and_values_of_another_element_type_agree_with_the_reference(int width)
    {
        using var backend = new SimdBackend(width, threads: 3);
        foreach (ElementType element in _elements)
        {
            foreach (ElementType keyValue in _elements)
            {
                foreach ((int queries, int keys) in _lengths)
                {
                    foreach (ScoreStage? stage in _stages)
                    {
                        (AttentionSignature signature, AttentionExtent extent) = Problem(element, keyValue, stage, queries, keys);
                        IPlan<AttentionExtent, AttentionBuffers> plan =
                            backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature);
                        AssertAgrees(plan, signature, extent, $"{signature}, {queries}");
                    }
                }
            }
        }
    }

    /// <summary>Runs that end anywhere: in a step of few queries, in a block of keys, and on their borders.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Rows_in_short_runs_agree_with_the_reference(int width)
    {
        foreach (int run in _runs)
        {
            foreach (ElementType keyValue in new[] { ElementType.Float32, ElementType.BFloat16 })
            {
                foreach ((int queries, int keys) in _lengths)
                {
                    foreach (ScoreStage? stage in new ScoreStage?[] { null, ScoreStage.Weights, ScoreStage.Products })
                    {
                        (AttentionSignature signature, AttentionExtent extent) =
                            Problem(ElementType.Float32, keyValue, stage, queries, keys);
                        IPlan<AttentionExtent, AttentionBuffers> plan = width switch
                        {
                            512 => Plan<Vector512<float>, Operations512>(signature, run),
                            256 => Plan<Vector256<float>, Operations256>(signature, run),
                            _ => Plan<Vector128<float>, Operations128>(signature, run),
                        };
                        AssertAgrees(plan, signature, extent, $"runs of {run}, {signature}, {queries}");
                    }
                }
            }
        }
    }

    [Fact]
    public void Unknown_forms_and_elements_are_refused()
    {
        using var backend = new SimdBackend();
        (AttentionSignature signature, _) = Problem(ElementType.Float32, ElementType.Float32, null, 1, 1);
        AttentionSignature[] wrong =
        [
            signature with { KeyValue = new KeyValueForm(KeyValueElement.Float32, (KeyValueRows)99) },
            signature with { KeyValue = new KeyValueForm((KeyValueElement)99) },
            signature with { Element = (ElementType)99 },
        ];
        foreach (AttentionSignature one in wrong)
        {
            foreach (ScoreStage? stage in new ScoreStage?[] { null, ScoreStage.Weights })
            {
                var error = Assert.Throws<ArgumentOutOfRangeException>(
                    () => backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(one with { Scores = stage }));
                Assert.Contains("99", error.Message, StringComparison.Ordinal);
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => backend.PanelRows((ElementType)99));
    }

    private static IPlan<AttentionExtent, AttentionBuffers> Plan<TVector, TOperations>(AttentionSignature signature, int longestRun)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector> =>
        signature.Scores is null
            ? new SimdAttentionPlan<TVector, TOperations>(signature, threads: 3, longestRun)
            : new SimdScoresPlan<TVector, TOperations>(signature, threads: 3, longestRun);

    private static ContiguousProblem Problem(ElementType element, ElementType keyValue, ScoreStage? stage, int queries, int keys)
    {
        var problem = ContiguousProblem.Attention(Batch, Heads, KeyValueHeads, queries, keys, HeadSize, ValueSize);
        AttentionSignature signature = problem.Signature with { Element = element, KeyValue = new KeyValueForm(keyValue), Scores = stage };
        return problem with { Signature = signature };
    }

    private void AssertAgrees(
        IPlan<AttentionExtent, AttentionBuffers> plan, AttentionSignature signature, AttentionExtent extent, string context)
    {
        var random = new Random(extent.KeyLength);
        DeviceMemory query = _memory.Random(random, signature.Element, Batch * Heads * extent.QueryLength * HeadSize);
        ElementType stored = signature.KeyValue.Element.Plain();
        DeviceMemory key = _memory.Random(random, stored, Batch * KeyValueHeads * extent.KeyLength * HeadSize);
        DeviceMemory value = _memory.Random(random, stored, Batch * KeyValueHeads * extent.KeyLength * ValueSize);
        int outputs = Batch * Heads * extent.QueryLength * ValueSize;
        int scores = signature.Scores is null ? 0 : (int)extent.ScoreCount / (signature.Scores == ScoreStage.AverageWeights ? Heads : 1);
        using var reference = new ReferenceBackend();
        (float[] expected, float[] expectedScores) = Run(reference.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature));
        (float[] actual, float[] actualScores) = Run(plan);
        double unit = signature.Element switch
        {
            ElementType.Float32 => Close.Tolerance,
            ElementType.Float16 => 1.0 / 1024,
            _ => 1.0 / 128,
        };
        Close.Assert(expected, actual, context, unit);
        Close.Assert(expectedScores, actualScores, context + ", scores", unit);

        (float[] Output, float[] Scores) Run(IPlan<AttentionExtent, AttentionBuffers> with)
        {
            var buffers = new AttentionBuffers
            {
                Query = query,
                Key = key,
                Value = value,
                Output = _memory.Poisoned(signature.Element, outputs),
                Scores = _memory.Poisoned(signature.Element, scores),
            };
            _memory.Run(with, extent, buffers);
            return (
                PlanMemory.Read(buffers.Output, signature.Element, outputs), PlanMemory.Read(buffers.Scores, signature.Element, scores));
        }
    }
}
