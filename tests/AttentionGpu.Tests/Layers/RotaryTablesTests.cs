using System.Numerics.Tensors;
using AttentionGpu.Layers;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>The memory of a layer's rotary tables.</summary>
public class RotaryTablesTests
{
    private static readonly MultiHeadAttentionConfig _config = new()
    {
        EmbeddingSize = 8,
        Heads = 1,
        Rotary = new() { Scaling = RotaryScaling.Dynamic(2.0, 4) },
    };

    [Fact]
    public void Calls_of_growing_lengths_share_tables_where_their_frequencies_are_the_same()
    {
        var rotary = new RotaryEmbedding { Scaling = RotaryScaling.LongRope([1.0, 2.0], [3.0, 4.0], 4, 1.0) };
        using var tables = new RotaryTables(Engines.Reference, rotary, headSize: 4);
        RotaryTables.Pair first = tables.Acquire(5);
        RotaryTables.Pair second = tables.Acquire(6);
        Assert.Same(first, second);
        RotaryTables.Pair within = tables.Acquire(4);
        Assert.NotSame(first, within);
        Assert.NotEqual(Read(first), Read(within));
        first.Release();
        second.Release();
        within.Release();
    }

    [Fact]
    public void A_layer_that_is_disposed_of_while_it_is_called_gives_its_memory_back()
    {
        Tensor<float>[] inputs = [.. Enumerable.Range(1, 9).Select(length => Data.Random(new Random(length), 1, length, 8))];
        for (int round = 0; round < 20; round++)
        {
            using var engine = new AttentionEngine("simd");
            using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, 1));
            using var started = new CountdownEvent(3);
            Thread[] callers = [.. Enumerable.Range(0, 3).Select(first => new Thread(() => Call(layer, first, started)))];
            foreach (Thread caller in callers)
                caller.Start();
            started.Wait(TestContext.Current.CancellationToken);
            layer.Dispose();
            foreach (Thread caller in callers)
                caller.Join();
            Assert.Equal(0, engine.MemoryInUse);
        }

        void Call(MultiHeadAttention<float> layer, int first, CountdownEvent started)
        {
            try
            {
                for (int i = 0; ; i++)
                {
                    layer.Forward(inputs[(first + i) % inputs.Length]);
                    if (i == 2)
                        started.Signal();
                }
            }
            catch (ObjectDisposedException)
            {
                // The end of the loop.
            }
        }
    }

    [Fact]
    public void Tables_that_there_is_no_memory_for_are_refused_and_the_layer_goes_on()
    {
        using var engine = new AttentionEngine("simd", new AttentionEngineOptions { MemoryLimitBytes = 4_000_000 });
        Tensor<float> input = Data.Random(new Random(1), 1, 2, 8);
        MultiHeadAttentionConfig config = _config with { Rotary = new() };
        using (var layer = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, 1)))
        {
            Tensor<float> expected = layer.Forward(input);
            long before = engine.MemoryInUse;
            Tensor<int> far = Tensor.Create([0, 200_000], [1, 2]);
            Assert.Throws<AttentionMemoryException>(() => layer.Forward(
                new MultiHeadAttentionInputs<float> { Query = input, QueryPositions = far },
                new MultiHeadAttentionOutputs<float> { Output = Data.Poisoned([1, 2, 8]) }));
            Assert.Equal(before, engine.MemoryInUse);
            Assert.Equal(Data.Flat(expected), Data.Flat(layer.Forward(input)));
        }

        Assert.Equal(0, engine.MemoryInUse);
    }

    // The rows of the first positions.
    private static float[] Read(RotaryTables.Pair pair)
    {
        Tensor<float> all = Tensor.CreateFromShape<float>(pair.Cosine.Lengths);
        pair.Cosine.CopyTo(all.AsTensorSpan());
        return Data.Flat(all)[..8];
    }
}
