using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>The limit of an engine's memory, to the byte, and what an engine says that it has in use.</summary>
public class MemoryLimitTests
{
    private const int Bytes = 1024;

    [Theory]
    [EveryDevice]
    public void A_tensor_may_use_up_the_limit_and_not_a_byte_more(string device)
    {
        using var engine = new AttentionEngine(device, new AttentionEngineOptions { MemoryLimitBytes = Bytes });
        using (DeviceTensor<bool> all = engine.CreateTensor<bool>(Bytes))
        {
            Assert.Equal(Bytes, engine.MemoryInUse);
            AttentionMemoryException none = Assert.Throws<AttentionMemoryException>(() => engine.CreateTensor<bool>(1));
            Assert.Equal(Bytes, none.BytesInUse);
            Assert.InRange(none.RequestedBytes, 1, Bytes);
            Assert.Equal(Bytes, engine.MemoryInUse);
        }

        Assert.Equal(0, engine.MemoryInUse);
        AttentionMemoryException more = Assert.Throws<AttentionMemoryException>(() => engine.CreateTensor<bool>(Bytes + 1));
        Assert.Equal(0, more.BytesInUse);
        Assert.InRange(more.RequestedBytes, Bytes + 1, 2 * Bytes);
        Assert.Equal(0, engine.MemoryInUse);
        engine.CreateTensor<float>(Bytes / sizeof(float)).Dispose();
    }

    [Theory]
    [EveryDevice]
    public void Unused_memory_is_given_back_and_used_memory_kept(string device)
    {
        using var engine = new AttentionEngine(device);
        Tensor<float> content = Data.Random(new Random(1), 5, 7);
        using DeviceTensor<float> kept = engine.CreateTensor<float>(content);
        engine.CreateTensor<float>(1000).Dispose();
        long inUse = engine.MemoryInUse;
        engine.ReleaseUnusedMemory();
        Assert.Equal(inUse, engine.MemoryInUse);
        Tensor<float> copy = Data.Poisoned(5, 7);
        kept.CopyTo(copy);
        Assert.Equal(Data.Flat(content), Data.Flat(copy));
        engine.CreateTensor<float>(1000).Dispose();
    }

    [Theory]
    [EveryDevice]
    public void An_option_of_1_is_the_smallest(string device)
    {
        using (var engine = new AttentionEngine(device, new AttentionEngineOptions { MemoryLimitBytes = 1, Threads = 1 }))
            Assert.Throws<AttentionMemoryException>(() => engine.CreateTensor<bool>(1));
        Assert.Contains("MemoryLimitBytes", Refused(new AttentionEngineOptions { MemoryLimitBytes = 0 }), StringComparison.Ordinal);
        Assert.Contains("Threads", Refused(new AttentionEngineOptions { Threads = 0 }), StringComparison.Ordinal);

        string Refused(AttentionEngineOptions options) =>
            Assert.Throws<ArgumentOutOfRangeException>(() => new AttentionEngine(device, options).Dispose()).Message;
    }

    [Theory]
    [EveryDevice]
    public void A_tensor_gives_its_memory_back_once(string device)
    {
        using var engine = new AttentionEngine(device);
        DeviceTensor<float> first = engine.CreateTensor<float>(256);
        using DeviceTensor<float> second = engine.CreateTensor<float>(256);
        first.Dispose();
        first.Dispose();
        Assert.Equal(1024, engine.MemoryInUse);

        // A block that came back twice would be both tensors'.
        using DeviceTensor<float> third = engine.CreateTensor<float>(256);
        using DeviceTensor<float> fourth = engine.CreateTensor<float>(256);
        third.CopyFrom(Data.Random(new Random(3), 256));
        fourth.CopyFrom(Data.Random(new Random(4), 256));
        float[] copy = new float[256];
        third.CopyTo(copy);
        Assert.Equal(Data.Flat(Data.Random(new Random(3), 256)), copy);
        Assert.Throws<ObjectDisposedException>(() => first.CopyTo(copy));
        Assert.Throws<ObjectDisposedException>(() => first.CopyFrom(copy));
    }

    [Theory]
    [EveryDevice]
    public void A_layer_has_its_parameters_in_use_until_it_is_disposed_of(string device)
    {
        using var engine = new AttentionEngine(device);
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 16, Heads = 2 };
        var weights = MultiHeadAttentionWeights.Random(config, 1);
        var layer = new MultiHeadAttention<float>(engine, config, weights);

        // 3 x 16 x 16 and 16 x 16 weights; 3 x 16 and 16 biases, in blocks of at least 256 bytes.
        Assert.Equal((4 * 16 * 16 * sizeof(float)) + 256 + 256, engine.MemoryInUse);
        using var other = new MultiHeadAttention<float>(engine, config, MultiHeadAttentionWeights.Random(config, 1, bias: false));
        layer.Dispose();
        layer.Dispose();
        Assert.Equal(4 * 16 * 16 * sizeof(float), engine.MemoryInUse);
    }

    [Fact]
    public void A_disposed_engine_refuses_every_call_and_lets_its_tensors_be_disposed_of()
    {
        foreach (string device in Engines.All)
        {
            var engine = new AttentionEngine(device);
            DeviceTensor<float> tensor = engine.CreateTensor<float>(4);
            float[] values = new float[4];
            engine.Dispose();
            engine.Dispose();
            Assert.Throws<ObjectDisposedException>(() => engine.CreateTensor<float>(4));
            Assert.Throws<ObjectDisposedException>(engine.Synchronize);
            Assert.Throws<ObjectDisposedException>(() => tensor.CopyTo(values));
            Assert.Throws<ObjectDisposedException>(() => tensor.CopyFrom(values));
            tensor.Dispose();
        }
    }
}
