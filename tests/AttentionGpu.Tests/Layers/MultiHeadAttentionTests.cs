using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using CsCheck;

namespace AttentionGpu.Tests.Layers;

public class MultiHeadAttentionTests
{
    private const int Problems = 40;
    private const int RaggedProblems = 15;

    /// <summary>Batch, key/value heads, group, head size, query length, key length, what varies, seed.</summary>
    private static Gen<LayerSizes> Sizes { get; } =
        from batch in Gen.Int[1, 3]
        from keyValueHeads in Gen.Int[1, 3]
        from grouped in Gen.Int[1, 3]
        from headSize in Gen.OneOf(1, 4, 8, 16, 17)
        from queryLength in Gen.Int[1, 24]
        from keyLength in Gen.Int[1, 24]
        from cross in Gen.Bool
        from ownSizes in Gen.Bool
        from bias in Gen.Bool
        from causal in Gen.Bool
        from seed in Gen.Int
        select new LayerSizes(batch, keyValueHeads, grouped, headSize, queryLength, keyLength, cross, ownSizes, bias, causal, seed);

    [Fact]
    public void Reference_agrees_with_ONNX_Runtime() => Sizes.Sample(
        sizes =>
        {
            LayerCase problem = LayerCase.Create(sizes);
            Tensor<float> expected = OnnxRuntimeOracle.Layer(
                problem.Config, problem.Weights, problem.Query, problem.Key, problem.Value, problem.Causal);
            Close.Assert(expected, problem.Run(Engines.Reference), sizes.ToString());
        },
        iter: Problems,
        threads: 1);

    [Fact]
    public void Reference_agrees_with_the_definition() => Sizes.Sample(
        sizes =>
        {
            LayerCase problem = LayerCase.Create(sizes);
            (Tensor<float> output, Tensor<float> weights) =
                NaiveLayer.Run(problem.Config, problem.Weights, problem.Query, problem.Key, problem.Value, problem.Causal);
            (Tensor<float> actual, Tensor<float> actualWeights) = problem.RunWithWeights(Engines.Reference);
            Close.Assert(output, actual, sizes.ToString());
            Close.Assert(weights, actualWeights, sizes.ToString());
        },
        iter: Problems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Ragged_sequences_are_like_each_alone(string backend) => Gen.Select(Sizes, Gen.Int[0, 20].Array[1, 6]).Sample(
        (sizes, lengths) =>
        {
            var problem = LayerCase.Create(sizes with { Batch = 1, Cross = false, QueryLength = 1 });
            int embedding = problem.Config.EmbeddingSize;
            int[] starts = [0, .. lengths.Select((_, i) => lengths.Take(i + 1).Sum())];
            Tensor<float> input = Data.Random(new Random(sizes.Seed), starts[^1], embedding);
            Tensor<float> output = Data.Poisoned(starts[^1], embedding);
            using var layer = new MultiHeadAttention<float>(Engines.Get(backend), problem.Config with { BatchFirst = sizes.OwnSizes }, problem.Weights);
            layer.ForwardRagged(input, starts, output, problem.Causal);
            for (int i = 0; i < lengths.Length; i++)
            {
                Tensor<float> one = Data.Slice(input, starts[i], lengths[i]);
                LayerCase alone = problem with { Query = one, Key = one, Value = one };
                Close.Assert(
                    alone.Run(Engines.Reference), Data.Slice(output, starts[i], lengths[i]), $"{sizes}, {string.Join(' ', lengths)}, {i}");
            }
        },
        iter: RaggedProblems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Backend_agrees_with_the_reference(string backend) => Sizes.Sample(
        sizes =>
        {
            LayerCase problem = LayerCase.Create(sizes);
            Close.Assert(problem.Run(Engines.Reference), problem.Run(Engines.Get(backend)), sizes.ToString());
            (Tensor<float> output, Tensor<float> weights) = problem.RunWithWeights(Engines.Reference);
            (Tensor<float> actual, Tensor<float> actualWeights) = problem.RunWithWeights(Engines.Get(backend));
            Close.Assert(output, actual, sizes.ToString());
            Close.Assert(weights, actualWeights, sizes.ToString());
        },
        iter: Problems,
        threads: 1);

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Length_first_is_batch_first_transposed(string backend)
    {
        LayerCase problem = LayerCase.Create(new LayerSizes(3, 2, 2, 8, 13, 19, true, true, true, true, 5));
        Tensor<float> expected = problem.Run(Engines.Get(backend));
        LayerCase transposed = problem with
        {
            Config = problem.Config with { BatchFirst = false },
            Query = SwapAxes(problem.Query),
            Key = SwapAxes(problem.Key),
            Value = SwapAxes(problem.Value),
        };
        Close.Assert(expected, SwapAxes(transposed.Run(Engines.Get(backend))), backend);

        LayerCase self = LayerCase.Create(new LayerSizes(3, 2, 2, 8, 13, 13, false, false, true, true, 6));
        LayerCase selfTransposed = self with { Config = self.Config with { BatchFirst = false }, Query = SwapAxes(self.Query) };
        selfTransposed = selfTransposed with { Key = selfTransposed.Query, Value = selfTransposed.Query };
        Close.Assert(self.Run(Engines.Get(backend)), SwapAxes(selfTransposed.Run(Engines.Get(backend))), backend);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Key_padding_hides_keys(string backend)
    {
        LayerCase problem = LayerCase.Create(new LayerSizes(3, 2, 1, 8, 9, 21, true, false, true, false, 7));
        int[] visibleKeys = [21, 13, 0];
        bool[] padding = [.. visibleKeys.SelectMany(visible => Enumerable.Range(0, 21).Select(key => key >= visible))];
        Tensor<float> output = Data.Poisoned(problem.Query.Lengths);
        using var layer = new MultiHeadAttention<float>(Engines.Get(backend), problem.Config, problem.Weights);
        layer.Forward(
            problem.Query.AsReadOnlyTensorSpan(), problem.Key.AsReadOnlyTensorSpan(), problem.Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            keyPaddingMask: new ReadOnlyTensorSpan<bool>(padding, [3, 21]));
        Tensor<float> expected = NaiveLayer.Run(
            problem.Config, problem.Weights, problem.Query, problem.Key, problem.Value,
            isVisible: (batch, _, key) => key < visibleKeys[batch]).Output;
        Close.Assert(expected, output, backend);

        // A batch entry without any key: nothing is attended to, and the output is the output bias.
        for (int element = 0; element < problem.Config.EmbeddingSize; element++)
            Assert.Equal(problem.Weights.OutputBias![element], output[2, 0, element], 1e-6f);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Mask_padding_and_causal_work_together(string backend)
    {
        LayerCase problem = LayerCase.Create(new LayerSizes(2, 2, 2, 8, 23, 23, false, false, false, true, 8));
        var random = new Random(8);
        Tensor<bool> mask = Data.RandomBoolean(random, 0.7, 2, 1, 23, 23);
        Tensor<bool> padding = Data.RandomBoolean(random, 0.2, 2, 23);
        Tensor<float> output = Data.Poisoned(problem.Query.Lengths);
        using var layer = new MultiHeadAttention<float>(Engines.Get(backend), problem.Config, problem.Weights);
        layer.Forward(
            problem.Query.AsReadOnlyTensorSpan(), output.AsTensorSpan(), Causal.TopLeft,
            new AttentionMask(mask.AsReadOnlyTensorSpan()), padding.AsReadOnlyTensorSpan());
        Tensor<float> expected = NaiveLayer.Run(
            problem.Config, problem.Weights, problem.Query, problem.Key, problem.Value, Causal.TopLeft,
            (batch, query, key) => mask[batch, 0, query, key] && !padding[batch, key]).Output;
        Close.Assert(expected, output, backend);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Device_tensors_give_the_same_as_host_tensors(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        foreach (bool cross in new[] { false, true })
        {
            LayerCase problem = LayerCase.Create(new LayerSizes(2, 2, 2, 8, 11, 15, cross, false, true, true, 9));
            (Tensor<float> expected, Tensor<float> expectedWeights) = problem.RunWithWeights(engine);
            using var layer = new MultiHeadAttention<float>(engine, problem.Config, problem.Weights);
            using DeviceTensor<float> query = engine.CreateTensor(problem.Query.AsReadOnlyTensorSpan());
            using DeviceTensor<float> context = engine.CreateTensor(problem.Key.AsReadOnlyTensorSpan());
            using DeviceTensor<float> output = engine.CreateTensor(Data.Poisoned(problem.Query.Lengths).AsReadOnlyTensorSpan());
            using DeviceTensor<float> weights = engine.CreateTensor(Data.Poisoned(expectedWeights.Lengths).AsReadOnlyTensorSpan());
            DeviceTensor<float> key = cross ? context : query;
            layer.Forward(query, key, key, output, Causal.TopLeft);
            Tensor<float> actual = Data.Poisoned(problem.Query.Lengths);
            output.CopyTo(actual.AsTensorSpan());
            Close.Assert(expected, actual, backend);

            layer.ForwardWithWeights(query, key, key, output, weights, causal: Causal.TopLeft);
            Tensor<float> actualWeights = Data.Poisoned(expectedWeights.Lengths);
            weights.CopyTo(actualWeights.AsTensorSpan());
            Close.Assert(expectedWeights, actualWeights, backend);
        }
    }

    [Fact]
    public void Random_weights_are_the_same_each_time()
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 3 };
        Assert.Equal(
            Data.Flat(MultiHeadAttentionWeights.Random(config, 4).Key), Data.Flat(MultiHeadAttentionWeights.Random(config, 4).Key));
        Assert.NotEqual(
            Data.Flat(MultiHeadAttentionWeights.Random(config, 4).Key), Data.Flat(MultiHeadAttentionWeights.Random(config, 5).Key));
    }

    private static Tensor<float> SwapAxes(Tensor<float> tensor) => Tensor.PermuteDimensions(tensor, [1, 0, 2]).ToDenseTensor();
}
