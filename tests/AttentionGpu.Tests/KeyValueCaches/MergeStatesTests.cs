using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Attention over parts of the keys, joined.</summary>
public class MergeStatesTests
{
    [Theory]
    [EveryDevice]
    public void Joined_parts_are_attention_over_all_keys(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        var random = new Random(Fuzz.Seed());
        for (int problem = 0; problem < 8; problem++)
        {
            (int batch, int heads, int length, int size) = (random.Next(1, 3), random.Next(1, 4), random.Next(1, 6), random.Next(1, 40));
            int[] ends = [.. Enumerable.Range(0, random.Next(0, 4)).Select(_ => random.Next(30)).Append(30).Order()];
            Tensor<float> query = Data.Random(random, batch, heads, length, 8);
            Tensor<float> key = Data.Random(random, batch, heads, 30, 8);
            Tensor<float> value = Data.Random(random, batch, heads, 30, size);
            Tensor<float> outputs = Data.Poisoned(ends.Length, batch, heads, length, size);
            Tensor<float> sums = Data.Poisoned(ends.Length, batch, heads, length);
            for (int part = 0, first = 0; part < ends.Length; first = ends[part++])
            {
                (Tensor<float> output, Tensor<float> sum) = Attend(query, Keys(key, first, ends[part]), Keys(value, first, ends[part]));
                output.FlattenTo(Part(outputs, part, ends.Length));
                sum.FlattenTo(Part(sums, part, ends.Length));
            }

            (Tensor<float> expected, Tensor<float> expectedSum) = Attend(query, key, value);
            Tensor<float> joined = Data.Poisoned(batch, heads, length, size);
            Tensor<float> joinedSum = Data.Poisoned(batch, heads, length);
            engine.MergeStates<float>(outputs, sums, joined, joinedSum);
            Close.Assert(Data.Flat(expected), Data.Flat(joined), backend, 1e-6);
            Close.Assert(Data.Flat(expectedSum), Data.Flat(joinedSum), backend, 1e-6);
        }
    }

    [Theory]
    [EveryDevice]
    public void Parts_without_a_key_take_no_part_whatever_they_have(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        float[] outputs = [float.NaN, 2f, float.PositiveInfinity, float.NaN];
        float[] sums = [float.NegativeInfinity, 1f, float.NegativeInfinity, float.NegativeInfinity];

        // Two tokens of one head; the second sees no key in either part.
        Tensor<float> output = Data.Poisoned(2, 1, 1);
        Tensor<float> sum = Data.Poisoned(1, 2);
        float[] ofParts = [outputs[0], outputs[2], outputs[1], outputs[3]];
        float[] sumsOfParts = [sums[0], sums[2], sums[1], sums[3]];
        engine.MergeStates<float>(Tensor.Create(ofParts, [2, 2, 1, 1]), Tensor.Create(sumsOfParts, [2, 1, 2]), output, sum);
        Assert.Equal([2f, 0f], Data.Flat(output));
        Assert.Equal([1f, float.NegativeInfinity], Data.Flat(sum));
    }

    [Fact]
    public void Shapes_that_do_not_fit_are_refused()
    {
        AttentionEngine engine = Engines.Reference;
        Tensor<float> outputs = Data.Poisoned(2, 3, 1, 4);
        Refused("logSumExps", outputs, Data.Poisoned(2, 3, 1), Data.Poisoned(3, 1, 4));
        Refused("output", outputs, Data.Poisoned(2, 1, 3), Data.Poisoned(1, 3, 4));
        Refused("outputs", Data.Poisoned(0, 3, 1, 4), Data.Poisoned(0, 1, 3), Data.Poisoned(3, 1, 4));
        Refused("output", outputs, Data.Poisoned(2, 1, 3), outputs);

        void Refused(string argument, Tensor<float> parts, Tensor<float> sums, Tensor<float> output) =>
            Assert.Throws<ArgumentException>(argument, () => engine.MergeStates<float>(parts, sums, output));
    }

    private static (Tensor<float> Output, Tensor<float> LogSumExp) Attend(Tensor<float> query, Tensor<float> key, Tensor<float> value)
    {
        Tensor<float> output = Data.Poisoned(query.Lengths[0], query.Lengths[1], query.Lengths[2], value.Lengths[3]);
        Tensor<float> sum = Data.Poisoned(query.Lengths[0], query.Lengths[1], query.Lengths[2]);
        Engines.Reference.ScaledDotProductAttention(
            new AttentionInputs<float> { Query = query, Key = key, Value = value },
            new AttentionOutputs<float> { Output = output, LogSumExp = sum });
        return (output, sum);
    }

    private static Tensor<float> Keys(Tensor<float> tensor, int first, int end) =>
        Tensor.Create(Data.Flat(tensor[.., .., first..end, ..]), [tensor.Lengths[0], tensor.Lengths[1], end - first, tensor.Lengths[3]]);

    private static Span<float> Part(Tensor<float> tensor, int part, int parts)
    {
        int size = (int)tensor.FlattenedLength / parts;
        return MemoryMarshal.CreateSpan(ref tensor.GetPinnableReference(), (int)tensor.FlattenedLength).Slice(part * size, size);
    }
}
