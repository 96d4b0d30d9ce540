using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>Masks with fewer keys than there are: the ONNX operator <c>Attention</c> hides the others.</summary>
public class ShortMaskTests
{
    private const int Batch = 2;
    private const int Heads = 2;
    private const int Queries = 21;
    private const int Keys = 37;
    private const int Size = 8;

    private delegate AttentionMask Masks(Tensor<bool> visible, Tensor<float> bias);

    /// <summary>Values 1, 3 and NaN: the mean of the visible ones, of every kind of mask, in host memory and on the device.</summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Keys_behind_a_mask_are_hidden(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        foreach (nint[] lengths in new nint[][] { [2], [1, 2], [1, 1, 2], [1, 1, 1, 2] })
        {
            var visible = Tensor.Create([true, true], lengths);
            var bias = Tensor.Create([0f, 0f], lengths);
            Assert.Equal(2f, Attend(engine, visible, float.NaN), 1e-6f);
            Assert.Equal(2f, Attend(engine, bias, float.NaN), 1e-6f);
            Assert.Equal(2f, Attend(engine, new AttentionMask(visible, bias), float.NaN), 1e-6f);
            using DeviceTensor<bool> visibleOnDevice = engine.CreateTensor<bool>(visible);
            using DeviceTensor<float> biasOnDevice = engine.CreateTensor<float>(bias);
            Assert.Equal(2f, Attend(engine, visibleOnDevice, float.NaN), 1e-6f);
            Assert.Equal(2f, Attend(engine, biasOnDevice, float.NaN), 1e-6f);
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void A_mask_of_one_key_is_for_all_keys_and_one_of_none_hides_all(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        Assert.Equal(104f / 3f, Attend(engine, Tensor.Create([true], [1]), 100f), 1e-4f);
        Assert.Equal(104f / 3f, Attend(engine, Tensor.Create([0.5f], [1, 1]), 100f), 1e-4f);
        Assert.Equal(0f, Attend(engine, Tensor.Create([false], [1]), 100f));
        Assert.Equal(0f, Attend(engine, Tensor.CreateFromShape<bool>([1, 0]), 100f));
        Assert.Equal(0f, Attend(engine, Tensor.CreateFromShape<float>([0]), 100f));
    }

    /// <summary>Each of two masks hides what lies behind its own end.</summary>
    [Theory]
    [EveryDevice]
    public void The_shorter_of_two_masks_counts(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        Assert.Equal(1f, Both([true, true, true], [0f, float.NegativeInfinity]), 1e-6f);
        Assert.Equal(2f, Both([true, true], [0f, 0f, 0f]), 1e-6f);
        Assert.Equal(2f, Both([true, true], [0f]), 1e-6f);

        float Both(bool[] visible, float[] bias) =>
            Attend(engine, new AttentionMask(Tensor.Create(visible, [visible.Length]), Tensor.Create(bias, [bias.Length])), 100f);
    }

    /// <summary>
    /// A short mask and the same mask padded give the same numbers, whatever depends on the number of keys: positions, key lengths,
    /// prefixes, weights and log-sum-exp.
    /// </summary>
    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Positions_count_the_hidden_keys(string device)
    {
        AttentionOptions[] options =
        [
            new() { Causal = Causal.BottomRight },
            new() { Causal = Causal.TopLeft, Window = new() { Left = 9, Alignment = QueryAlignment.BottomRight } },
        ];
        foreach (AttentionOptions option in options)
        {
            foreach (int[] keyLengths in new int[][] { [], [Keys, 11] })
            {
                foreach (int[] prefixes in new int[][] { [], [30, 3] })
                {
                    foreach (bool asksForWeights in new[] { false, true })
                    {
                        AssertSame(
                            device, option, keyLengths, prefixes, asksForWeights, (visible, _) => visible,
                            $"{option}, boolean, {keyLengths.Length}");
                        AssertSame(
                            device, option, keyLengths, prefixes, asksForWeights, (_, bias) => bias,
                            $"{option}, additive, {keyLengths.Length}");
                    }
                }
            }
        }
    }

    [Fact]
    public void A_longer_mask_is_refused()
    {
        AttentionEngine engine = Engines.Reference;
        ArgumentException exception = Assert.Throws<ArgumentException>(() => Attend(engine, Tensor.CreateFromShape<bool>([4]), 1f));
        Assert.Equal("mask", exception.ParamName);
        Assert.Contains("[1, 1, 1, 3]", exception.Message, StringComparison.Ordinal);
        Assert.Contains("fewer keys", exception.Message, StringComparison.Ordinal);
    }

    private static void AssertSame(
        string device, AttentionOptions options, int[] keyLengths, int[] prefixes, bool asksForWeights, Masks masks, string context)
    {
        var random = new Random(3);
        Tensor<bool> visible = Data.RandomBoolean(random, 0.7, Batch, 1, Queries, 29);
        Tensor<float> bias = Data.Random(random, 1, Queries, 29);
        Tensor<float> query = Data.Random(random, Batch, Heads, Queries, Size);
        Tensor<float> key = Data.Random(random, Batch, Heads, Keys, Size);
        Tensor<float> slopes = Data.Random(random, Heads);
        (float[] output, float[] scores, float[] sums) = Run(masks(visible, bias));
        (float[] expected, float[] weights, float[] logSumExp) = Run(masks(Padded(visible, false), Padded(bias, float.NegativeInfinity)));
        Close.Assert(expected, output, $"output, {context}");
        Close.Assert(weights, scores, $"weights, {context}");
        Close.Assert(logSumExp, sums, $"log-sum-exp, {context}");

        (float[] Output, float[] Scores, float[] Sums) Run(AttentionMask mask)
        {
            Tensor<float> output = Data.Poisoned(Batch, Heads, Queries, Size);
            Tensor<float>? scores = asksForWeights ? Data.Poisoned(Batch, Heads, Queries, Keys) : null;
            Tensor<float> sums = Data.Poisoned(Batch, Heads, Queries);
            var inputs = new AttentionInputs<float>
            {
                Query = query,
                Key = key,
                Value = key,
                Mask = mask,
                AlibiSlopes = slopes,
                KeyLengths = keyLengths,
                PrefixLengths = prefixes,
            };
            Engines.Get(device).ScaledDotProductAttention(
                inputs, new AttentionOutputs<float> { Output = output, Scores = scores, LogSumExp = sums }, options);
            return (Data.Flat(output), scores is null ? [] : Data.Flat(scores), Data.Flat(sums));
        }
    }

    private static Tensor<T> Padded<T>(Tensor<T> mask, T hidden)
    {
        Tensor<T> padded = Tensor.CreateFromShape<T>([.. mask.Lengths[..^1], Keys]);
        padded.AsTensorSpan().Fill(hidden);
        T[] values = Data.Flat(mask);
        T[] all = Data.Flat(padded);
        int keys = (int)mask.Lengths[^1];
        for (int row = 0; row < values.Length / keys; row++)
            values.AsSpan(row * keys, keys).CopyTo(all.AsSpan(row * Keys));
        return Tensor.Create(all, padded.Lengths);
    }

    // One query and three keys of the same score.
    private static float Attend(AttentionEngine engine, AttentionMask mask, float lastValue)
    {
        float[] output = [float.NaN];
        engine.ScaledDotProductAttention<float>(
            Tensor.Create(new float[1], [1, 1, 1, 1]), Tensor.Create(new float[3], [1, 1, 3, 1]),
            Tensor.Create([1f, 3f, lastValue], [1, 1, 3, 1]),
            Tensor.Create(output, [1, 1, 1, 1]), mask: mask);
        return output[0];
    }
}
