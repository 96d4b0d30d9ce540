using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Operators;

public class AttentionTests
{
    private const int OracleProblems = 150;
    private const int BackendProblems = 120;
    private const int MaxLength = 40;

    [Fact]
    public void Causality_masks_and_weights_are_those_of_ONNX_Runtime()
    {
        var random = new Random();
        for (int i = 0; i < OracleProblems; i++)
        {
            VariantKind drawn = ShortCall.DrawKind(random);
            var kind = VariantKind.Of(
                drawn.Causal == Causal.BottomRight ? Causal.None : drawn.Causal,
                drawn.Mask is VariantMask.Both or VariantMask.ShortBoth ? VariantMask.None : drawn.Mask,
                i % 2 == 0 ? null : ScoreStage.Weights);
            Assert.True(OnnxRuntimeVariants.HasOwnMask(kind));
            var problem = VariantCase.Create(kind, random, VariantSizes.Draw(drawn, random, MaxLength));
            OnnxRuntimeVariants.Run(problem).AssertClose(ShortCall.Run(problem, Engines.Reference), problem, $"problem {i}: {kind}, {problem.Options}");
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Short_calls_agree_with_the_reference(string backend)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        ScoreStage?[] scores = [null, ScoreStage.Weights, ScoreStage.AverageWeights];
        for (int i = 0; i < BackendProblems; i++)
        {
            VariantKind drawn = ShortCall.DrawKind(random);
            var kind = VariantKind.Of(drawn.Causal, drawn.Mask, scores[i % scores.Length]);
            var problem = VariantCase.Create(kind, random, VariantSizes.Draw(drawn, random, MaxLength));
            VariantRun.OnReference(problem).AssertClose(
                ShortCall.Run(problem, Engines.Get(backend)), problem, $"seed {seed}, problem {i}: {kind}, {problem.Options}");
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Rows_that_see_no_key_are_zero(string backend)
    {
        var problem = VariantCase.Create(
            VariantKind.Of(Causal.BottomRight), new Random(5), new VariantSizes(2, 2, 2, 16, 24, [37], [29]));

        // Bottom right with 8 queries more than keys: the first 8 see nothing.
        float[] output = Data.Flat(ShortCall.Run(problem, Engines.Get(backend)).Output);
        problem = problem with { Kind = VariantKind.Of(Causal.BottomRight, scores: ScoreStage.Weights) };
        (Tensor<float> withWeights, Tensor<float>? weights, _, _, _) = ShortCall.Run(problem, Engines.Get(backend));
        for (int matrix = 0; matrix < 2 * 4; matrix++)
        {
            Assert.All(output.AsSpan(matrix * 37 * 24, 8 * 24).ToArray(), value => Assert.Equal(0f, value));
            Assert.All(Data.Flat(withWeights).AsSpan(matrix * 37 * 24, 8 * 24).ToArray(), value => Assert.Equal(0f, value));
            Assert.All(Data.Flat(weights!).AsSpan(matrix * 37 * 29, 8 * 29).ToArray(), value => Assert.Equal(0f, value));
            Assert.Contains(output.AsSpan((matrix * 37 + 8) * 24, 24).ToArray(), value => value != 0f);
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Large_logits_stay_finite(string backend)
    {
        var problem = VariantCase.Create(VariantKind.With(), new Random(7), new VariantSizes(1, 2, 1, 16, 16, [33], [41])) with
        {
            Options = new AttentionOptions { Scale = 1e4f },
        };

        // Logits of tens of thousands: one key takes nearly all of each row; float32 logits are off by up to 1e-2, weights likewise.
        Tensor<float> expected = VariantRun.OnReference(problem).Output;
        Close.Assert(expected, VariantRun.Run(problem, Engines.Get(backend)).Output, backend, tolerance: 0.05);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Mask_of_the_lowest_float_keeps_rows_uniform(string backend)
    {
        // Checkpoints pad with float.MinValue. A row where every key has it is a plain mean, as in PyTorch, not zeros and not NaN.
        var problem = VariantCase.Create(VariantKind.With("additive mask"), new Random(9), new VariantSizes(1, 1, 1, 8, 4, [5], [9])) with
        {
            Bias = Tensor.Create(Enumerable.Repeat(float.MinValue, 5 * 9).ToArray(), [5, 9]),
        };
        Tensor<float> output = VariantRun.Run(problem, Engines.Get(backend)).Output;
        for (int column = 0; column < 4; column++)
        {
            double mean = Enumerable.Range(0, 9).Average(key => problem.Value[0, 0, key, column]);
            Assert.Equal(mean, output[0, 0, 0, column], 1e-6);
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void NaN_in_a_query_stays_in_its_row(string backend)
    {
        var problem = VariantCase.Create(VariantKind.With(), new Random(11), new VariantSizes(1, 1, 1, 8, 8, [21], [19]));
        problem.Query[0, 0, 3, 2] = float.NaN;
        Tensor<float> output = VariantRun.Run(problem, Engines.Get(backend)).Output;
        for (int row = 0; row < 21; row++)
            Assert.Equal(row == 3, float.IsNaN(output[0, 0, row, 0]));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Empty_tensors_are_fine(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        foreach ((int batch, int queries) in new[] { (0, 5), (2, 0), (0, 0) })
        {
            Tensor<float> query = Tensor.CreateFromShape<float>([batch, 2, queries, 8]);
            Tensor<float> key = Data.Random(new Random(1), batch, 2, 7, 8);
            Tensor<float> output = Tensor.CreateFromShape<float>([batch, 2, queries, 8]);
            engine.ScaledDotProductAttention<float>(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), output.AsTensorSpan());
            Tensor<float> weights = Tensor.CreateFromShape<float>([batch, 2, queries, 7]);
            engine.ScaledDotProductAttentionWithWeights<float>(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
                weights.AsTensorSpan());
        }

        // No keys at all: every row sees nothing.
        Tensor<float> none = Tensor.CreateFromShape<float>([1, 2, 0, 8]);
        Tensor<float> zeros = Data.Poisoned(1, 2, 3, 8);
        engine.ScaledDotProductAttention<float>(
            Data.Random(new Random(2), 1, 2, 3, 8).AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(),
            zeros.AsTensorSpan());
        Assert.All(Data.Flat(zeros), value => Assert.Equal(0f, value));
        zeros = Data.Poisoned(1, 2, 3, 8);
        engine.ScaledDotProductAttentionWithWeights<float>(
            Data.Random(new Random(2), 1, 2, 3, 8).AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(),
            zeros.AsTensorSpan(), Tensor.CreateFromShape<float>([1, 2, 3, 0]).AsTensorSpan());
        Assert.All(Data.Flat(zeros), value => Assert.Equal(0f, value));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Strided_tensors_give_the_same(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random(13);
        var problem = VariantCase.Create(VariantKind.With("additive mask"), random, new VariantSizes(2, 2, 1, 8, 6, [11], [13])) with
        {
            Bias = Data.Random(random, 2, 1, 11, 13),
        };
        Tensor<float> expected = ShortCall.Run(problem, engine).Output;

        // The same numbers, seen through a slice of something larger.
        Tensor<float> Widen(Tensor<float> tensor)
        {
            nint[] lengths = tensor.Lengths.ToArray();
            Tensor<float> wide = Data.Poisoned([lengths[0], lengths[1], lengths[2], lengths[3] + 3]);
            tensor.AsReadOnlyTensorSpan().CopyTo(wide.AsTensorSpan()[.., .., .., ..(int)lengths[3]]);
            return wide;
        }

        Tensor<float> query = Widen(problem.Query);
        Tensor<float> mask = Widen(problem.Bias!);
        Tensor<float> output = Data.Poisoned(2, 2, 11, 10);
        engine.ScaledDotProductAttention<float>(
            query.AsReadOnlyTensorSpan()[.., .., .., ..8], problem.Key.AsReadOnlyTensorSpan(), problem.Value.AsReadOnlyTensorSpan(),
            output.AsTensorSpan()[.., .., .., 2..8], problem.Options, new AttentionMask(mask.AsReadOnlyTensorSpan()[.., .., .., ..13]));
        Tensor<float> dense = Data.Poisoned(2, 2, 11, 6);
        output.AsReadOnlyTensorSpan()[.., .., .., 2..8].CopyTo(dense.AsTensorSpan());
        Close.Assert(expected, dense, backend);
        Assert.True(float.IsNaN(output[0, 0, 0, 1]) && float.IsNaN(output[1, 1, 10, 8]), "Elements outside the slice were written.");
    }
}
