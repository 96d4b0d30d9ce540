using System.Numerics.Tensors;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Kernels that are compiled before a layer runs, on the emulator.</summary>
public class PrepareTests
{
    private const int Tokens = 3;

    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = 8, Heads = 2, Rotary = new RotaryEmbedding() };

    [Theory]
    [InlineData(KeyValueElement.Float32)]
    [InlineData(KeyValueElement.Int8)]
    public void A_call_that_was_prepared_compiles_nothing_and_preparing_writes_nothing(KeyValueElement element)
    {
        int compiled = 0;
        using AttentionEngine engine = Create(() => Interlocked.Increment(ref compiled));
        using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, seed: 1));
        using KeyValueCache cache = engine.CreateCache(
            new() { KeyValueHeads = 2, HeadSize = 4, Capacity = 1024, Sequences = 1, Element = element });
        using KeyValueSequence sequence = cache.Open();
        Tensor<float> input = Tensor.Create<float>(new float[Tokens * 8], [Tokens, 8]);
        Tensor<float> output = Tensor.Create<float>([.. Enumerable.Repeat(float.NaN, Tokens * 8)], [Tokens, 8]);
        using (KeyValueBatch batch = cache.Append([sequence], [Tokens]))
            layer.Prepare(new() { Query = input, Cache = batch }, new() { Output = output });
        Assert.Equal(0, sequence.Length);
        Assert.All(output.ToArray(), value => Assert.Equal(float.NaN, value));
        int prepared = compiled;
        Assert.InRange(prepared, 5, int.MaxValue);

        // A sequence that grows beyond one part of the keys has kernels of its own.
        for (int length = 0; length < 600; length += 200)
            Step(200);
        Step(Tokens);
        Assert.Equal(600 + Tokens, sequence.Length);
        Assert.Equal(prepared, compiled);

        void Step(int tokens)
        {
            using KeyValueBatch batch = cache.Append([sequence], [tokens]);
            layer.Forward(Tensor.CreateFromShape<float>([tokens, 8]), batch);
        }
    }

    [Fact]
    public void A_call_compiles_the_kernels_of_its_steps_at_the_same_time()
    {
        Assert.SkipWhen(KernelLoader.Compilations < 2, "One processor compiles one kernel at a time.");
        using var two = new CountdownEvent(2);
        using AttentionEngine engine = Create(() =>
        {
            if (!two.IsSet)
                two.Signal();
            Assert.True(two.Wait(Wait.Patience), "The other kernels have to wait.");
        });
        using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, seed: 1));
        layer.Forward(Tensor.CreateFromShape<float>([1, Tokens, 8]));
    }

    [Fact]
    public void A_call_that_would_be_refused_is_refused()
    {
        using AttentionEngine engine = Create(() => { });
        using var layer = new MultiHeadAttention<float>(engine, _config, MultiHeadAttentionWeights.Random(_config, seed: 1));
        Assert.Throws<ArgumentException>(() => layer.Prepare(
            new() { Query = Tensor.CreateFromShape<float>([1, Tokens, 7]) },
            new() { Output = Tensor.CreateFromShape<float>([1, Tokens, 8]) }));
    }

    private static AttentionEngine Create(Action compiling) => new(new AcceleratorBackend(
        Engines.Get(AcceleratorDevices.EmulatorName).Device, AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName),
        TileChoice.For, probe: new() { Compiling = compiling }));
}
