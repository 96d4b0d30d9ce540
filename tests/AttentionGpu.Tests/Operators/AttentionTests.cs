using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using CsCheck;

namespace AttentionGpu.Tests.Operators;

public class AttentionTests
{
    private const int OracleProblems = 150;
    private const int BackendProblems = 80;

    // What ONNX Runtime 1.31 knows: no bottom-right alignment, positive scales, and no rows without a visible key.
    private static Gen<AttentionSizes> OracleSizes { get; } = AttentionSizes.Gen.Select(sizes => sizes with
    {
        Causal = sizes.Causal == Causal.BottomRight ? Causal.None : sizes.Causal,
        Mask = sizes.Mask == MaskForm.AdditiveWithInfinities ? MaskForm.Additive : sizes.Mask,
        Scale = sizes.Scale is float scale ? Math.Abs(scale) : null,
    });

    [Fact]
    public void Reference_agrees_with_ONNX_Runtime() => OracleSizes.Sample(
        sizes =>
        {
            AttentionCase problem = AttentionCase.Create(sizes).WithFirstKeyVisible();
            Close.Assert(OnnxRuntimeOracle.Attention(problem).Output, problem.Run(Engines.Reference), sizes.ToString());
        },
        iter: OracleProblems,
        threads: 1);

    [Fact]
    public void Reference_weights_agree_with_ONNX_Runtime() => OracleSizes.Sample(
        sizes =>
        {
            AttentionCase problem = AttentionCase.Create(sizes).WithFirstKeyVisible();
            (Tensor<float> output, Tensor<float>? weights) = OnnxRuntimeOracle.Attention(problem, weights: true);
            (Tensor<float> actual, Tensor<float> actualWeights) = problem.RunWithWeights(Engines.Reference);
            Close.Assert(output, actual, sizes.ToString());
            Close.Assert(weights!, actualWeights, sizes.ToString());
        },
        iter: OracleProblems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Backend_agrees_with_the_reference(string backend)
    {
        AttentionSizes.Gen.Sample(
            sizes =>
            {
                AttentionCase problem = AttentionCase.Create(sizes);
                Tensor<float> expected = problem.Run(Engines.Reference);
                Assert.DoesNotContain(Data.Flat(expected), float.IsNaN);
                Close.Assert(expected, problem.Run(Engines.Get(backend)), sizes.ToString());
            },
            iter: BackendProblems,
            threads: 1);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Backend_weights_agree_with_the_reference(string backend)
    {
        AttentionSizes.Gen.Select(Gen.Bool).Sample(
            (sizes, average) =>
            {
                AttentionCase problem = AttentionCase.Create(sizes);
                (Tensor<float> output, Tensor<float> weights) = problem.RunWithWeights(Engines.Reference, average);
                (Tensor<float> actual, Tensor<float> actualWeights) = problem.RunWithWeights(Engines.Get(backend), average);
                Close.Assert(problem.Run(Engines.Reference), output, sizes.ToString());
                Close.Assert(output, actual, sizes.ToString());
                Close.Assert(weights, actualWeights, sizes.ToString());
            },
            iter: BackendProblems,
            threads: 1);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Rows_that_see_no_key_are_zero(string backend)
    {
        AttentionCase problem = AttentionCase.Create(
            new AttentionSizes(2, 2, 2, 37, 29, 16, 24, Causal.BottomRight, MaskForm.None, 4, false, null, 5));

        // Bottom right with 8 queries more than keys: the first 8 see nothing.
        float[] output = Data.Flat(problem.Run(Engines.Get(backend)));
        (Tensor<float> withWeights, Tensor<float> weights) = problem.RunWithWeights(Engines.Get(backend));
        for (int matrix = 0; matrix < 2 * 4; matrix++)
        {
            Assert.All(output.AsSpan(matrix * 37 * 24, 8 * 24).ToArray(), value => Assert.Equal(0f, value));
            Assert.All(Data.Flat(withWeights).AsSpan(matrix * 37 * 24, 8 * 24).ToArray(), value => Assert.Equal(0f, value));
            Assert.All(Data.Flat(weights).AsSpan(matrix * 37 * 29, 8 * 29).ToArray(), value => Assert.Equal(0f, value));
            Assert.Contains(output.AsSpan((matrix * 37 + 8) * 24, 24).ToArray(), value => value != 0f);
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Large_logits_stay_finite(string backend)
    {
        AttentionCase problem = AttentionCase.Create(
            new AttentionSizes(1, 2, 1, 33, 41, 16, 16, Causal.None, MaskForm.None, 4, false, 1e4f, 7));

        // Logits of tens of thousands: one key takes nearly all of each row; float32 logits are off by up to 1e-2, weights likewise.
        Tensor<float> expected = problem.Run(Engines.Reference);
        Close.Assert(expected, problem.Run(Engines.Get(backend)), backend, tolerance: 0.05);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Mask_of_the_lowest_float_keeps_rows_uniform(string backend)
    {
        // Checkpoints pad with float.MinValue. A row where every key has it is a plain mean, as in PyTorch, not zeros and not NaN.
        AttentionCase problem = AttentionCase.Create(
            new AttentionSizes(1, 1, 1, 5, 9, 8, 4, Causal.None, MaskForm.Additive, 2, false, null, 9));
        problem = problem with { AdditiveMask = Tensor.Create(Enumerable.Repeat(float.MinValue, 5 * 9).ToArray(), [5, 9]) };
        Tensor<float> output = problem.Run(Engines.Get(backend));
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
        AttentionCase problem = AttentionCase.Create(
            new AttentionSizes(1, 1, 1, 21, 19, 8, 8, Causal.None, MaskForm.None, 4, false, null, 11));
        problem.Query[0, 0, 3, 2] = float.NaN;
        Tensor<float> output = problem.Run(Engines.Get(backend));
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
            engine.ScaledDotProductAttention(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), output.AsTensorSpan());
            Tensor<float> weights = Tensor.CreateFromShape<float>([batch, 2, queries, 7]);
            engine.ScaledDotProductAttentionWithWeights(
                query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
                weights.AsTensorSpan());
        }

        // No keys at all: every row sees nothing.
        Tensor<float> none = Tensor.CreateFromShape<float>([1, 2, 0, 8]);
        Tensor<float> zeros = Data.Poisoned(1, 2, 3, 8);
        engine.ScaledDotProductAttention(
            Data.Random(new Random(2), 1, 2, 3, 8).AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(),
            zeros.AsTensorSpan());
        Assert.All(Data.Flat(zeros), value => Assert.Equal(0f, value));
        zeros = Data.Poisoned(1, 2, 3, 8);
        engine.ScaledDotProductAttentionWithWeights(
            Data.Random(new Random(2), 1, 2, 3, 8).AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(), none.AsReadOnlyTensorSpan(),
            zeros.AsTensorSpan(), Tensor.CreateFromShape<float>([1, 2, 3, 0]).AsTensorSpan());
        Assert.All(Data.Flat(zeros), value => Assert.Equal(0f, value));
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Strided_tensors_give_the_same(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        AttentionCase problem = AttentionCase.Create(
            new AttentionSizes(2, 2, 1, 11, 13, 8, 6, Causal.None, MaskForm.Additive, 4, false, null, 13));
        Tensor<float> expected = problem.Run(engine);

        // The same numbers, seen through a slice of something larger.
        Tensor<float> Widen(Tensor<float> tensor)
        {
            nint[] lengths = tensor.Lengths.ToArray();
            Tensor<float> wide = Data.Poisoned([lengths[0], lengths[1], lengths[2], lengths[3] + 3]);
            tensor.AsReadOnlyTensorSpan().CopyTo(wide.AsTensorSpan()[.., .., .., ..(int)lengths[3]]);
            return wide;
        }

        Tensor<float> query = Widen(problem.Query);
        Tensor<float> mask = Widen(problem.AdditiveMask!);
        Tensor<float> output = Data.Poisoned(2, 2, 11, 10);
        engine.ScaledDotProductAttention(
            query.AsReadOnlyTensorSpan()[.., .., .., ..8], problem.Key.AsReadOnlyTensorSpan(), problem.Value.AsReadOnlyTensorSpan(),
            output.AsTensorSpan()[.., .., .., 2..8], problem.Options, new AttentionMask(mask.AsReadOnlyTensorSpan()[.., .., .., ..13]));
        Tensor<float> dense = Data.Poisoned(2, 2, 11, 6);
        output.AsReadOnlyTensorSpan()[.., .., .., 2..8].CopyTo(dense.AsTensorSpan());
        Close.Assert(expected, dense, backend);
        Assert.True(float.IsNaN(output[0, 0, 0, 1]) && float.IsNaN(output[1, 1, 10, 8]), "Elements outside the slice were written.");
    }
}
