using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>Ragged sequences that use a part of their keys, and tokens that belong to no sequence.</summary>
public class RaggedPlaceTests
{
    private const int Heads = 2;
    private const int Size = 8;

    /// <summary>Sequences with room for more keys than they use give what they give when the keys lie close together.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Keys_that_a_sequence_does_not_use_take_no_part(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        var random = new Random(5);
        Tensor<float> query = Data.Random(random, 9, Heads, Size);
        Tensor<float> wide = Data.Random(random, 50, Heads, Size);
        int[] starts = [0, 20, 21, 47];
        int[] used = [13, 0, 26];

        // Poisoned where nothing is to be read.
        Tensor<float> close = Tensor.CreateFromShape<float>([39, Heads, Size]);
        for (int i = 0, row = 0; i < used.Length; row += used[i++])
        {
            wide.AsTensorSpan()[starts[i]..(starts[i] + used[i]), .., ..].CopyTo(close.AsTensorSpan()[row..(row + used[i]), .., ..]);
            wide.AsTensorSpan()[(starts[i] + used[i])..starts[i + 1], .., ..].Fill(float.NaN);
        }

        wide.AsTensorSpan()[47.., .., ..].Fill(float.NaN);
        foreach (Causal causal in Enum.GetValues<Causal>())
        {
            foreach (bool rotates in new[] { false, true })
            {
                Tensor<float> output = Run(engine, query, wide, [0, 4, 6, 9], starts, used, causal, rotates).Output;
                Tensor<float> expected = Run(engine, query, close, [0, 4, 6, 9], [0, 13, 13, 39], [], causal, rotates).Output;
                Close.Assert(expected, output, $"{causal}, {rotates}");
            }
        }
    }

    /// <summary>NaN in tokens behind the last sequence stays there: their outputs are zeros, their log-sum-exp is -inf.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Tokens_of_no_sequence_are_zeros(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        foreach (int[] starts in new int[][] { [0], [0, 0], [0, 1, 3], [0, 60], [0, 20, 99] })
        {
            Tensor<float> tokens = Data.Random(new Random(7), 100, Heads, Size);
            tokens.AsTensorSpan()[starts[^1].., .., ..].Fill(float.NaN);
            foreach (bool rotates in new[] { false, true })
            {
                (Tensor<float> output, Tensor<float> sums) = Run(engine, tokens, tokens, starts, [], [], Causal.TopLeft, rotates);
                Tensor<float> own = tokens[..starts[^1], .., ..].ToDenseTensor();
                (Tensor<float> expected, Tensor<float> expectedSums) = Run(engine, own, own, starts, [], [], Causal.TopLeft, rotates);
                Close.Assert(expected, output[..starts[^1], .., ..].ToDenseTensor(), $"sequences {string.Join(' ', starts)}");
                Close.Assert(expectedSums, sums[.., ..starts[^1]].ToDenseTensor(), "log-sum-exp");
                Assert.All(Data.Flat(output[starts[^1].., .., ..].ToDenseTensor()), value => Assert.Equal(0f, value));
                Assert.All(Data.Flat(sums[.., starts[^1]..].ToDenseTensor()), value => Assert.Equal(float.NegativeInfinity, value));
            }
        }
    }

    /// <summary>Keys that every query sees are for the tokens of sequences: the others see none, and their queries are not read.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Tokens_of_no_sequence_do_not_see_extra_keys(string device)
    {
        var random = new Random(9);
        Tensor<float> extra = Data.Random(random, Heads, Size);
        Tensor<float> norm = Data.Random(random, Size);
        foreach (int[] starts in new int[][] { [0], [0, 3], [0, 2, 2, 5] })
        {
            int end = starts[^1];
            Tensor<float> tokens = Data.Random(random, 8, Heads, Size);
            tokens.AsTensorSpan()[end.., .., ..].Fill(float.NaN);
            Tensor<float> output = Data.Poisoned(tokens.Lengths);
            Tensor<float> sums = Data.Poisoned(Heads, 8);
            Join(tokens, output, sums);
            Assert.All(Data.Flat(output[end.., .., ..].ToDenseTensor()), value => Assert.Equal(0f, value));
            Assert.All(Data.Flat(sums[.., end..].ToDenseTensor()), value => Assert.Equal(float.NegativeInfinity, value));
            Tensor<float> own = Data.Poisoned(end, Heads, Size);
            Tensor<float> ownSums = Data.Poisoned(Heads, end);
            Join(tokens[..end, .., ..].ToDenseTensor(), own, ownSums);
            Close.Assert(own, output[..end, .., ..].ToDenseTensor(), $"sequences {string.Join(' ', starts)}");
            Close.Assert(ownSums, sums[.., ..end].ToDenseTensor(), "log-sum-exp");

            void Join(Tensor<float> rows, Tensor<float> target, Tensor<float> targetSums) =>
                Engines.Get(device).ScaledDotProductAttention(
                    new AttentionInputs<float>
                    {
                        Query = rows,
                        Key = rows,
                        Value = rows,
                        CumulativeQueryLengths = starts,
                        QueryNorm = norm,
                        ExtraKey = extra,
                        ExtraValue = extra,
                    },
                    new AttentionOutputs<float> { Output = target, LogSumExp = targetSums },
                    new AttentionOptions { AddZeroAttention = true });
        }
    }

    [Theory]
    [EveryDevice]
    public void Tokens_of_no_sequence_on_the_device_are_zeros(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int[] starts = [0, 3, 30];
        int[] used = [2, 5];
        using DeviceTensor<float> tokens = engine.CreateTensor<float>(Data.Random(new Random(7), 40, Heads, Size));
        using DeviceTensor<float> output = engine.CreateTensor<float>(Data.Poisoned(40, Heads, Size));
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = tokens,
                Key = tokens,
                Value = tokens,
                CumulativeQueryLengths = starts,
                KeyLengths = used,
            },
            new AttentionOutputs<float> { Output = output });
        var values = new float[40 * Heads * Size];
        output.CopyTo(new TensorSpan<float>(values, output.Lengths));
        Assert.All(values[..(30 * Heads * Size)], value => Assert.True(value is not 0f && float.IsFinite(value)));
        Assert.All(values[(30 * Heads * Size)..], value => Assert.Equal(0f, value));
    }

    /// <summary>A layer projects the zeros of such tokens: the bias of the output projection is left.</summary>
    [Theory]
    [EveryDevice]
    public void A_layer_gives_its_output_bias_for_tokens_of_no_sequence(string device)
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 3 };
        var weights = MultiHeadAttentionWeights.Random(config, 3);
        Data.Random(new Random(4), 12).CopyTo(weights.OutputBias!);
        using var layer = new MultiHeadAttention<float>(Engines.Get(device), config, weights);
        Tensor<float> tokens = Data.Random(new Random(5), 9, 12);
        Tensor<float> output = Data.Poisoned(9, 12);
        layer.ForwardRagged(tokens, [0, 2, 6], output);
        Tensor<float> alone = Data.Poisoned(6, 12);
        layer.ForwardRagged(tokens[..6, ..].ToDenseTensor(), [0, 2, 6], alone);
        Close.Assert(alone, output[..6, ..].ToDenseTensor(), "sequences");
        for (int token = 6; token < 9; token++)
        {
            for (int i = 0; i < 12; i++)
                Assert.Equal(weights.OutputBias![i], output[token, i], 1e-6f);
        }
    }

    private static (Tensor<float> Output, Tensor<float> LogSumExp) Run(
        AttentionEngine engine, Tensor<float> query, Tensor<float> key, int[] starts, int[] keyStarts, int[] used, Causal causal,
        bool rotates)
    {
        Tensor<float> output = Data.Poisoned(query.Lengths);
        Tensor<float> sums = Data.Poisoned(Heads, query.Lengths[0]);

        // As many rows as the longest sequence has: tokens of none have no position.
        Tensor<float>? table = rotates ? Data.Random(new Random(2), 90, Size / 2) : null;
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = query,
                Key = key,
                Value = key,
                CumulativeQueryLengths = starts,
                CumulativeKeyLengths = keyStarts,
                KeyLengths = used,
                RotaryCosine = table,
                RotarySine = table,
            },
            new AttentionOutputs<float> { Output = output, LogSumExp = sums },
            new AttentionOptions { Causal = causal });
        return (output, sums);
    }
}
