using AttentionGpu.Backends;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Plans of a backend that ILGPU drives, on what an engine does not ask for, or not in these combinations.</summary>
public class AcceleratorPlanTests
{
    private const int Gap = 3;

    private static readonly ElementType[] _types = Enum.GetValues<ElementType>();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Keys_and_values_have_an_element_type_and_strides_of_their_own(bool processor)
    {
        using AcceleratorBackend backend = Open(processor);
        using var comparison = new PlanComparison(backend);
        (Random random, int seed) = Seeded();
        int turn = random.Next();
        foreach (ElementType element in _types)
        {
            foreach (ElementType keyValue in _types)
            {
                // Every pair of types takes another of: no scores, and each stage of scores.
                turn++;
                ScoreStage? stage = turn % 6 == 5 ? null : (ScoreStage)(turn % 6);
                AssertAttention(comparison, random, element, keyValue, stage, $"seed {seed}");
            }
        }
    }

    [Fact]
    public void Rows_go_from_one_element_type_to_another_with_positions_of_any_kind()
    {
        using AcceleratorBackend backend = Open(processor: false);
        using var comparison = new PlanComparison(backend);
        (Random random, int seed) = Seeded();
        foreach (ElementType source in _types)
        {
            foreach (ElementType target in _types)
            {
                for (int kind = 0; kind < 4; kind++)
                    AssertRows(comparison, random, source, target, hasPositions: kind % 2 == 1, hasSequences: kind >= 2, $"seed {seed}");
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_linear_plan_writes_plain_and_split_outputs(bool processor)
    {
        using AcceleratorBackend backend = Open(processor);
        using var comparison = new PlanComparison(backend);
        (Random random, int seed) = Seeded();
        foreach (ElementType type in _types)
        {
            (int batch, int length, int heads, int size) = (random.Next(1, 4), random.Next(1, 9), random.Next(1, 4), random.Next(1, 9));
            var signature = new LinearSignature
            {
                Element = type,
                Columns = heads * size,
                Depth = random.Next(1, 30),
                HasBias = random.Next(2) == 0,
            };
            HeadLayout[] outputs =
            [
                new() { InnerRows = batch * length, InnerRowStride = signature.Columns + Gap, HeadSize = signature.Columns },
                new()
                {
                    InnerRows = length,
                    OuterRowStride = (long)heads * length * size,
                    InnerRowStride = size,
                    HeadSize = size,
                    HeadStride = (long)length * size,
                },
            ];
            PlanTensor input = PlanTensor.Random(random, type, (long)batch * length * signature.Depth);
            PlanTensor weight = PlanTensor.Random(random, type, (long)signature.Columns * signature.Depth);
            PlanTensor bias = PlanTensor.Random(random, type, signature.Columns);
            foreach (HeadLayout layout in outputs)
            {
                PlanTensor output = PlanTensor.Poisoned(type, (long)batch * length * (signature.Columns + Gap));
                comparison.AssertAgree<LinearSignature, LinearExtent, LinearBuffers>(
                    signature, new LinearExtent { Rows = batch * length, Output = layout },
                    on => new()
                    {
                        Input = on(input),
                        Weight = on(weight),
                        Bias = signature.HasBias ? on(bias) : default,
                        Output = on(output),
                    },
                    [output], $"seed {seed}");
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Too_many_groups_are_refused_before_anything_runs(bool processor)
    {
        using AcceleratorBackend backend = Open(processor);
        ContiguousProblem problem = ContiguousProblem.Attention(1 << 16, 64, 64, 1 << 16, 4, 8, 8);
        foreach (ScoreStage? stage in new ScoreStage?[] { null, ScoreStage.Weights })
        {
            IPlan<AttentionExtent, AttentionBuffers> plan = backend.Operators.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(
                problem.Signature with { Scores = stage });
            NotSupportedException exception = Assert.Throws<NotSupportedException>(() => plan.WorkspaceBytes(problem.Extent));
            Assert.Contains("Split the batch", exception.Message, StringComparison.Ordinal);
        }

        IPlan<LinearExtent, LinearBuffers> linear = backend.Operators.Plan<LinearSignature, LinearExtent, LinearBuffers>(
            new LinearSignature { Element = ElementType.Float32, Columns = 1 << 20, Depth = 4 });
        var output = new HeadLayout { InnerRows = int.MaxValue, InnerRowStride = 1 << 20, HeadSize = 1 << 20 };
        Assert.Throws<NotSupportedException>(() => linear.WorkspaceBytes(new LinearExtent { Rows = 1 << 20, Output = output }));
    }

    [Fact]
    public void What_a_device_has_no_operator_for_is_refused()
    {
        using AcceleratorBackend backend = Open(processor: false);
        IOperators operators = backend.Operators;
        Assert.Throws<NotSupportedException>(
            () => operators.Plan<PanelSignature, PanelExtent, PanelBuffers>(new PanelSignature(ElementType.Float32, 8)));
        Assert.Throws<NotSupportedException>(() => operators.Plan<LinearSignature, LinearExtent, LinearBuffers>(
            new LinearSignature { Element = ElementType.Float32, Columns = 8, Depth = 8, IsWeightPanelled = true }));
        AttentionSignature attention = ContiguousProblem.Attention(1, 1, 1, 1).Signature;
        AttentionSignature[] unknown =
        [
            attention with { Element = (ElementType)77 }, attention with { KeyValue = new KeyValueForm((KeyValueElement)77) },
            attention with { KeyValue = new KeyValueForm(KeyValueElement.Float32, (KeyValueRows)77) },
            attention with { Causal = (CausalKind)77 }, attention with { Scores = (ScoreStage)77 },
        ];
        Assert.All(unknown, signature => Assert.Throws<ArgumentOutOfRangeException>(
            () => operators.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_empty_call_does_nothing(bool processor)
    {
        using AcceleratorBackend backend = Open(processor);
        ContiguousProblem.Attention(batch: 0, 1, 1, queries: 3, keys: 3, 8, 8).Run(backend, default);
        ContiguousProblem.Attention(batch: 1, 1, 1, queries: 0, keys: 3, 8, 8).Run(backend, default);
    }

    private static void AssertAttention(
        PlanComparison comparison, Random random, ElementType element, ElementType keyValue, ScoreStage? stage, string context)
    {
        (int batch, int keyHeads, int group) = (random.Next(1, 3), random.Next(1, 3), random.Next(1, 3));
        (int queries, int keys, int size, int valueSize) = (random.Next(1, 20), random.Next(0, 20), random.Next(1, 20), random.Next(1, 40));
        int heads = keyHeads * group;
        var signature = new AttentionSignature
        {
            Element = element,
            KeyValue = new KeyValueForm(keyValue),
            HeadSize = size,
            ValueHeadSize = valueSize,
            GroupSize = group,
            Causal = (CausalKind)random.Next(3),
            HasWindow = random.Next(2) == 0,
            HasSequences = random.Next(2) == 0,
            HasLogSumExp = random.Next(2) == 0,
            Scores = stage,
        };
        Sequence NewSequence(int keyLength) => new()
        {
            QueryLength = queries,
            KeyLength = keyLength,
            CausalOffset = random.Next(-2, keyLength + 1),
            PrefixLength = random.Next(0, keyLength + 1),
            WindowOffset = random.Next(-2, keyLength + 1),
        };
        var extent = new AttentionExtent
        {
            Batch = batch,
            Heads = heads,
            KeyValueHeads = keyHeads,
            Scale = 0.5f,
            Sequence = NewSequence(keys),
            Window = new WindowSize(random.Next(9), random.Next(9)),
            Query = Spread(heads, queries, size),
            Key = Spread(keyHeads, keys, size),
            Value = Spread(keyHeads, keys, valueSize),
            Output = Spread(heads, queries, valueSize),
            LogSumExp = TensorLayout.Contiguous(heads, queries, 1),
        };
        PlanTensor query = PlanTensor.Random(random, element, batch * extent.Query.BatchStride);
        PlanTensor key = PlanTensor.Random(random, keyValue, batch * extent.Key.BatchStride);
        PlanTensor value = PlanTensor.Random(random, keyValue, batch * extent.Value.BatchStride);
        PlanTensor output = PlanTensor.Poisoned(element, batch * extent.Output.BatchStride);
        PlanTensor logSumExp = PlanTensor.Poisoned(ElementType.Float32, (long)batch * heads * queries);
        PlanTensor scores = PlanTensor.Poisoned(element, extent.ScoreCount / (stage == ScoreStage.AverageWeights ? heads : 1));
        PlanTensor sequences = PlanTensor.Table([.. Enumerable.Range(0, batch).Select(_ => NewSequence(random.Next(0, keys + 1)))]);
        List<PlanTensor> outputs = [output];
        if (signature.HasLogSumExp)
            outputs.Add(logSumExp);
        if (stage is not null && keys > 0)
            outputs.Add(scores);
        comparison.AssertAgree<AttentionSignature, AttentionExtent, AttentionBuffers>(
            signature, extent,
            on => new()
            {
                Query = on(query),
                Key = on(key),
                Value = on(value),
                Output = on(output),
                Sequences = signature.HasSequences ? on(sequences) : default,
                LogSumExp = signature.HasLogSumExp ? on(logSumExp) : default,
                Scores = stage is null || keys == 0 ? default : on(scores),
            },
            [.. outputs], context);
    }

    private static void AssertRows(
        PlanComparison comparison, Random random, ElementType source, ElementType target, bool hasPositions, bool hasSequences,
        string context)
    {
        (int batch, int heads, int length, int size) = (random.Next(1, 4), random.Next(1, 3), random.Next(1, 6), 2 * random.Next(1, 9));
        int tokens = batch * length;
        var signature = new HeadTransformSignature
        {
            Element = source,
            Target = new KeyValueForm(target),
            Size = size,
            HasNorm = random.Next(2) == 0,
            RotarySize = hasPositions ? 2 * random.Next(1, size / 2 + 1) : 2 * random.Next(size / 2 + 1),
            IsInterleaved = random.Next(2) == 0,
            HasPositions = hasPositions,
            HasSequences = hasSequences,
        };
        bool keys = random.Next(2) == 0;
        var table = new Sequence[batch];
        int start = 0;
        for (int entry = 0; entry < batch; entry++)
        {
            // The lengths and starts of the other kind of rows would be out of range.
            int count = random.Next(0, length + 1);
            table[entry] = keys
                ? new Sequence { KeyStart = start, KeyLength = count, QueryStart = 999, QueryLength = 99 }
                : new Sequence { QueryStart = start, QueryLength = count, KeyStart = 999, KeyLength = 99 };
            start += count;
        }

        TensorLayout layout = hasSequences ? Spread(heads, tokens, size) with { BatchStride = 0 } : Spread(heads, length, size);
        var extent = new HeadTransformExtent
        {
            Batch = batch,
            Heads = heads,
            Length = length,
            Source = layout,
            Target = layout,
            NormEpsilon = 1e-3f,
            FirstPosition = random.Next(3),
            RowsAreKeys = keys,
        };
        int angles = signature.RotarySize / 2 * (tokens + 3);
        PlanTensor rows = PlanTensor.Random(random, source, (long)heads * tokens * (size + Gap));
        PlanTensor output = PlanTensor.Poisoned(target, (long)heads * tokens * (size + Gap));
        PlanTensor norm = PlanTensor.Random(random, ElementType.Float32, size);
        PlanTensor cosine = PlanTensor.Random(random, ElementType.Float32, angles);
        PlanTensor sine = PlanTensor.Random(random, ElementType.Float32, angles);
        PlanTensor positions = PlanTensor.Table([.. Enumerable.Range(0, tokens).Select(_ => random.Next(tokens))]);
        PlanTensor sequences = PlanTensor.Table(table);
        comparison.AssertAgree<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(
            signature, extent,
            on => new()
            {
                Source = on(rows),
                Target = on(output),
                Norm = signature.HasNorm ? on(norm) : default,
                Cosine = signature.RotarySize > 0 ? on(cosine) : default,
                Sine = signature.RotarySize > 0 ? on(sine) : default,
                Positions = hasPositions ? on(positions) : default,
                Sequences = hasSequences ? on(sequences) : default,
            },
            [output], context);
    }

    // Heads that alternate row by row, with a gap behind each row.
    private static TensorLayout Spread(int heads, int length, int size)
    {
        int row = size + Gap;
        return new TensorLayout((long)heads * length * row, row, (long)heads * row);
    }

    private static (Random Random, int Seed) Seeded()
    {
        int seed = Random.Shared.Next();
        return (new Random(seed), seed);
    }

    private static AcceleratorBackend Open(bool processor) => new(
        Engines.Get(AcceleratorDevices.EmulatorName).Device, AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName),
        accelerator => TileChoice.For(accelerator) with { Processor = processor });
}
