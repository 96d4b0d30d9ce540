using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Simd;

/// <summary>Parts of the keys of few queries: a sequence's bits are the same alone and in any batch, on any number of threads.</summary>
public sealed class KeyPartTests : IDisposable
{
    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    /// <summary>Sequences of one part and of several, and one with many queries beside them.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void A_sequence_has_the_same_bits_alone_and_in_a_batch(int width) =>
        AssertIndependent(
            width, heads: 6, groupSize: 3, headSize: 20, valueSize: 33, [1, 1, 2, 0, 30, 1],
            [2300, 40, 1100, 9, 100, 1024], few: 2);

    /// <summary>More states than there is memory for at once: they are merged in rounds, which end between heads of three parts.</summary>
    [Fact]
    public void States_in_rounds_have_the_same_bits()
    {
        int[] queries = [.. Enumerable.Repeat(1, 100)];
        int[] keys = [.. Enumerable.Range(0, 100).Select(i => 2060 + i)];
        AssertIndependent(256, heads: 32, groupSize: 32, headSize: 4, valueSize: 510, queries, keys, few: 1, shareKeys: true);
    }

    private void AssertIndependent(
        int width, int heads, int groupSize, int headSize, int valueSize, int[] queries, int[] keys, int few, bool shareKeys = false)
    {
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        Sequence[] sequences = [.. queries.Select((count, i) => new Sequence
        {
            QueryStart = queries[..i].Sum(),
            QueryLength = count,
            KeyStart = shareKeys ? 0 : keys[..i].Sum(),
            KeyLength = keys[i],
            CausalOffset = keys[i] - count,
        })];
        int tokens = queries.Sum();
        int rows = shareKeys ? keys.Max() : keys.Sum();
        int keyValueHeads = heads / groupSize;
        var signature = new AttentionSignature
        {
            Element = ElementType.Float32,
            KeyValue = new KeyValueForm(ElementType.Float32),
            HeadSize = headSize,
            ValueHeadSize = valueSize,
            GroupSize = groupSize,
            Causal = CausalKind.Causal,
            HasSequences = true,
        };
        var buffers = new AttentionBuffers
        {
            Query = _memory.Random(random, ElementType.Float32, heads * tokens * headSize),
            Key = _memory.Random(random, ElementType.Float32, keyValueHeads * rows * headSize),
            Value = _memory.Random(random, ElementType.Float32, keyValueHeads * rows * valueSize),
        };
        float[] together = Run(sequences, threads: 3);
        for (int i = 0; i < sequences.Length; i += shareKeys ? 13 : 1)
        {
            if (queries[i] == 0 || queries[i] > few)
                continue;
            float[] alone = Run([sequences[i]], threads: 1);
            for (int head = 0; head < heads; head++)
            {
                int first = (head * tokens + sequences[i].QueryStart) * valueSize;
                int count = queries[i] * valueSize;
                Assert.True(
                    alone.AsSpan(first, count).SequenceEqual(together.AsSpan(first, count)) && float.IsFinite(alone[first]),
                    $"seed {seed}, {width} bits, sequence {i}, head {head}");
            }
        }

        float[] Run(Sequence[] of, int threads)
        {
            using var backend = new SimdBackend(width, threads);
            int outputs = heads * tokens * valueSize;
            AttentionBuffers with = buffers with
            {
                Sequences = _memory.Values(of),
                Output = _memory.Poisoned(ElementType.Float32, outputs),
            };
            var extent = new AttentionExtent
            {
                Batch = of.Length,
                Heads = heads,
                KeyValueHeads = keyValueHeads,
                Scale = 0.4f,
                Query = new TensorLayout(0, (long)tokens * headSize, headSize),
                Key = new TensorLayout(0, (long)rows * headSize, headSize),
                Value = new TensorLayout(0, (long)rows * valueSize, valueSize),
                Output = new TensorLayout(0, (long)tokens * valueSize, valueSize),
                Sequence = new Sequence
                {
                    QueryLength = of.Max(sequence => sequence.QueryLength),
                    KeyLength = of.Max(sequence => sequence.KeyLength),
                },
            };
            _memory.Run(backend.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(signature), extent, with);
            return PlanMemory.Read(with.Output, ElementType.Float32, outputs);
        }
    }
}
