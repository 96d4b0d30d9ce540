using System.Numerics.Tensors;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Operators;

/// <summary>Tensors with gaps, with interleaved or repeated axes give the result of dense ones; nothing is written into gaps.</summary>
public class StridedTests
{
    private static readonly nint[] _lengths = [2, 3, 4, 5];

    private static readonly int[][] _strides =
    [
        [1000, 20, 5, 1],
        [60, 20, 5, 1],
        [75, 25, 5, 1],
        [90, 30, 7, 1],
        [60, 5, 15, 1],
        [60, 20, 1, 4],
        [120, 40, 10, 2],
        [0, 20, 5, 1],
        [20, 0, 5, 1],
        [15, 5, 0, 1],
        [12, 4, 1, 0],
    ];

    public static TheoryData<int[]> Strides => [.. _strides];

    [Theory]
    [MemberData(nameof(Strides))]
    public void A_strided_tensor_is_read_and_written_as_its_dense_copy(int[] strides)
    {
        nint[] steps = [.. strides.Select(stride => (nint)stride)];
        int spanned = 1 + _lengths.Zip(strides, (length, stride) => (int)(length - 1) * stride).Sum();
        Tensor<float> other = Data.Random(new Random(2), _lengths);
        float[] memory = Data.Flat(Data.Random(new Random(1), spanned));
        float[] copy = new float[120];
        new ReadOnlyTensorSpan<float>(memory, _lengths, steps).FlattenTo(copy);
        using var copying = new AttentionEngine(new CopyingBackend());
        foreach (AttentionEngine engine in new[] { Engines.Reference, Engines.Get("simd"), copying })
        {
            for (int place = 0; place < 3; place++)
            {
                Tensor<float> expected = Data.Poisoned(_lengths);
                Tensor<float> actual = Data.Poisoned(_lengths);
                Attend(new ReadOnlyTensorSpan<float>(copy, _lengths), expected);
                Attend(new ReadOnlyTensorSpan<float>(memory, _lengths, steps), actual);
                Close.Assert(expected, actual, $"{engine.Device.Name}, {place}");

                void Attend(in ReadOnlyTensorSpan<float> tensor, Tensor<float> output) => engine.ScaledDotProductAttention<float>(
                    place == 0 ? tensor : other, place == 1 ? tensor : other, place == 2 ? tensor : other, output);
            }

            if (!strides.Contains(0))
                AssertWrites(engine, other, steps, spanned);
        }
    }

    /// <summary>Four heads of five elements side by side, with gaps between tokens, between batch entries and between elements.</summary>
    [Theory]
    [InlineData(AttentionLayout.BatchLengthHeads, 100, 25, 1)]
    [InlineData(AttentionLayout.BatchLengthHeads, 25, 50, 1)]
    [InlineData(AttentionLayout.BatchLengthHeads, 120, 40, 2)]
    [InlineData(AttentionLayout.LengthBatchHeads, 80, 25, 1)]
    public void A_strided_tensor_of_joined_heads_is_read_and_written_as_its_dense_copy(AttentionLayout layout, params int[] strides)
    {
        nint[] lengths = [2, 3, 20];
        nint[] steps = [.. strides.Select(stride => (nint)stride)];
        int spanned = 1 + lengths.Zip(strides, (length, stride) => (int)(length - 1) * stride).Sum();
        var options = new AttentionOptions { Layout = layout, Heads = 4, KeyValueHeads = 4, Causal = Causal.TopLeft };
        float[][] memory = [.. Enumerable.Range(0, 3).Select(seed => Data.Flat(Data.Random(new Random(seed), spanned)))];
        float[][] dense = [.. memory.Select(_ => new float[120])];
        for (int i = 0; i < memory.Length; i++)
            new ReadOnlyTensorSpan<float>(memory[i], lengths, steps).FlattenTo(dense[i]);
        using var copying = new AttentionEngine(new CopyingBackend());
        foreach (AttentionEngine engine in new[] { Engines.Reference, Engines.Get("simd"), copying })
        {
            Tensor<float> expected = Data.Poisoned(lengths);
            engine.ScaledDotProductAttention<float>(
                new AttentionInputs<float>
                {
                    Query = new ReadOnlyTensorSpan<float>(dense[0], lengths),
                    Key = new ReadOnlyTensorSpan<float>(dense[1], lengths),
                    Value = new ReadOnlyTensorSpan<float>(dense[2], lengths),
                },
                new AttentionOutputs<float> { Output = expected },
                options);
            float[] target = Data.Flat(Data.Poisoned(spanned));
            engine.ScaledDotProductAttention<float>(
                new AttentionInputs<float>
                {
                    Query = new ReadOnlyTensorSpan<float>(memory[0], lengths, steps),
                    Key = new ReadOnlyTensorSpan<float>(memory[1], lengths, steps),
                    Value = new ReadOnlyTensorSpan<float>(memory[2], lengths, steps),
                },
                new AttentionOutputs<float> { Output = new TensorSpan<float>(target, lengths, steps) },
                options);
            float[] written = new float[120];
            new ReadOnlyTensorSpan<float>(target, lengths, steps).FlattenTo(written);
            Close.Assert(Data.Flat(expected), written, engine.Device.Name);
            Assert.Equal(120, target.Count(value => !float.IsNaN(value)));
        }
    }

    [Fact]
    public void Tensors_and_engines_share_host_memory_where_they_can()
    {
        // A tensor whose rows are dense is used where it is: an engine with less memory than the tensor takes it.
        const int keys = 30_000;
        using var engine = new AttentionEngine("simd", new AttentionEngineOptions { MemoryLimitBytes = 6_000_000, Threads = 1 });
        Tensor<float> query = Data.Random(new Random(2), 1, 1, 4, 64);
        Tensor<float> value = Data.Random(new Random(3), 1, 1, keys, 64);
        float[] memory = new float[keys * 130];
        foreach (nint[] strides in new nint[][] { [0, 0, 64, 1], [0, 0, 67, 1] })
        {
            engine.ScaledDotProductAttention<float>(
                query, new ReadOnlyTensorSpan<float>(memory, [1, 1, keys, 64], strides), value,
                new TensorSpan<float>(memory.AsSpan(keys * 128), [1, 1, 4, 64], strides));
        }

        // The stride of an axis of one element does not matter.
        const int depth = 2_000_000;
        engine.Linear<float>(
            new ReadOnlyTensorSpan<float>(memory.AsSpan(0, depth), [1, depth], [0, 1]), Data.Random(new Random(3), 1, depth), Data.Poisoned(1, 1));
        Assert.Throws<AttentionMemoryException>(() => engine.ScaledDotProductAttention<float>(
            query, new ReadOnlyTensorSpan<float>(memory, [1, 1, keys, 64], [0, 0, 130, 2]), value, Data.Poisoned(1, 1, 4, 64)));
    }

    private static void AssertWrites(AttentionEngine engine, Tensor<float> other, nint[] strides, int spanned)
    {
        Tensor<float> expected = Data.Poisoned(_lengths);
        engine.ScaledDotProductAttention<float>(other, other, other, expected);
        float[] target = Data.Flat(Data.Poisoned(spanned));
        engine.ScaledDotProductAttention<float>(other, other, other, new TensorSpan<float>(target, _lengths, strides));
        float[] written = new float[120];
        new ReadOnlyTensorSpan<float>(target, _lengths, strides).FlattenTo(written);
        Close.Assert(Data.Flat(expected), written, engine.Device.Name);
        Assert.Equal(120, target.Count(value => !float.IsNaN(value)));
    }

    /// <summary>The reference behind copies, as a device would be.</summary>
    private sealed class CopyingBackend() : DelegatingBackend(new ReferenceBackend())
    {
        public override bool IsHostMemory => false;
    }
}
