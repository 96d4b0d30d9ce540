using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Devices;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Operators;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

/// <summary>Every call gives back all the memory that it takes, also when it fails.</summary>
public class MemoryBalanceTests
{
    [Fact]
    public void Calls_return_what_they_rent()
    {
        using var backend = new CountingBackend();
        using var engine = new AttentionEngine(backend);
        foreach (ScoreStage? scores in new ScoreStage?[] { null, ScoreStage.Weights, ScoreStage.AverageWeights })
        {
            var kind = VariantKind.Of(Causal.TopLeft, VariantMask.Boolean, scores);
            ShortCall.Run(VariantCase.Create(kind, new Random(3), new VariantSizes(2, 2, 2, 8, 8, [7], [9])), engine);
        }

        foreach (bool cross in new[] { false, true })
        {
            LayerCase layer = LayerCase.Create(new LayerSizes(2, 2, 2, 8, 11, 15, cross, false, true, true, 9));
            layer.Run(engine);
            layer.RunWithWeights(engine);
        }

        engine.CreateTensor<float>(3, 4).Dispose();
        Assert.NotEqual(0, backend.Rented);
        Assert.Equal(0, backend.Outstanding);
    }

    [Fact]
    public void Failing_calls_return_what_they_rent()
    {
        LayerCase problem = LayerCase.Create(new LayerSizes(2, 2, 2, 8, 11, 15, true, false, true, true, 9));
        for (int call = 0; call < 4; call++)
        {
            using var backend = new CountingBackend { FailingExecution = call };
            using var engine = new AttentionEngine(backend);
            Assert.Throws<InvalidOperationException>(() => problem.RunWithWeights(engine));
            Assert.Equal(0, backend.Outstanding);
        }
    }

    [Theory]
    [InlineData("attention")]
    [InlineData("attention with weights")]
    [InlineData("linear")]
    [InlineData("layer")]
    public void A_call_whose_device_fails_at_any_step_returns_what_it_rents(string name)
    {
        FullCalls call = FullCalls.All[name];
        int step = 0;
        for (Exception? exception = new InvalidOperationException(); exception is not null; step++)
        {
            using var backend = new CountingBackend { FailingExecution = step };
            using var engine = new AttentionEngine(backend);
            exception = Record.Exception(() => call.Run(engine, new TensorArena(call.Slots, "", "", overlap: false)));
            Assert.True(exception is null or InvalidOperationException, $"{exception}");
            Assert.NotEqual(0, backend.Rented);
            Assert.Equal(0, backend.Outstanding);
            Assert.Equal(0, engine.MemoryInUse);
        }

        // The steps that can fail, and the first that there is not.
        Assert.Equal(name switch { "attention" => 7, "layer" => 6, _ => 2 }, step);
    }

    [Theory]
    [EveryDevice]
    public void Beyond_its_limit_an_engine_refuses_and_goes_on(string device)
    {
        var small = VariantCase.Create(VariantKind.With(), new Random(3), new VariantSizes(1, 1, 1, 64, 64, [4], [4]));
        using var engine = new AttentionEngine(device, new AttentionEngineOptions { MemoryLimitBytes = 48_000_000 });
        using DeviceTensor<float> tensor = engine.CreateTensor<float>(8_000_000);
        Assert.InRange(engine.MemoryInUse, 32_000_000, 40_000_000);
        AttentionMemoryException exception = Assert.Throws<AttentionMemoryException>(() => engine.CreateTensor<float>(8_000_000));
        Assert.Contains("MemoryLimitBytes", exception.Message, StringComparison.Ordinal);
        VariantRun.OnReference(small).AssertClose(VariantRun.Run(small, engine), small, device);
        tensor.Dispose();
        Assert.Equal(0, engine.MemoryInUse);
        using DeviceTensor<float> other = engine.CreateTensor<float>(9_600_000);
    }

    // On simd a call rents its workspace alone; elsewhere copies of its tensors besides.
    [Theory]
    [InlineData("attention", "reference", 20)]
    [InlineData("attention", "ilgpu-cpu", 20)]
    [InlineData("attention", "simd", 1)]
    [InlineData("attention with weights", "ilgpu-cpu", 7)]
    [InlineData("attention with weights", "simd", 1)]
    [InlineData("linear", "ilgpu-cpu", 4)]
    [InlineData("linear", "simd", 1)]
    [InlineData("layer", "ilgpu-cpu", 9)]
    [InlineData("layer", "simd", 4)]
    public void A_call_without_memory_at_any_point_returns_what_it_has_and_writes_nothing(string name, string device, int fewestRents)
    {
        FullCalls call = FullCalls.All[name];
        using var backend = new CountingBackend(device);
        using var engine = new AttentionEngine(backend);
        int rents = 0;
        for (bool failed = true; failed; rents += failed ? 1 : 0)
        {
            backend.FailingRent = backend.Rented + rents;
            var arena = new TensorArena(call.Slots, "", "", overlap: false);
            failed = Record.Exception(() => call.Run(engine, arena)) is AttentionMemoryException;
            Assert.Equal(0, backend.Outstanding);
            Assert.Equal(0, engine.MemoryInUse);
            if (!failed)
                continue;
            Assert.True(arena.IsUnchanged);

            // The next call works.
            call.Run(engine, arena);
        }

        Assert.InRange(rents, fewestRents, 60);
    }

    [Fact]
    public void A_layer_or_tensor_without_memory_at_any_point_keeps_none()
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 3, KeySize = 5, Rotary = new RotaryEmbedding() };
        MultiHeadAttentionWeights random = MultiHeadAttentionWeights.Random(config, 1);
        var weights = new MultiHeadAttentionWeights
        {
            Query = random.Query,
            Key = random.Key,
            Value = random.Value,
            Output = random.Output,
            QueryBias = random.QueryBias,
            OutputBias = random.OutputBias,
            QueryNorm = Data.Random(new Random(1), 4),
            KeyNorm = Data.Random(new Random(2), 4),
            Sinks = Data.Random(new Random(3), 3),
            AlibiSlopes = Data.Random(new Random(4), 3),
        };
        Tensor<float> input = Data.Random(new Random(5), 1, 7, 12);
        bool failed = true;
        int rents = 0;
        for (; failed; rents++)
        {
            using var backend = new CountingBackend { FailingRent = rents };
            using var engine = new AttentionEngine(backend);
            failed = Record.Exception(() =>
            {
                using var layer = new MultiHeadAttention<Half>(engine, config, weights);
                using DeviceTensor<float> tensor = engine.CreateTensor(input.AsReadOnlyTensorSpan());
                using DeviceTensor<float> view = tensor.Reshape(84);
            }) is AttentionMemoryException;
            Assert.Equal(0, backend.Outstanding);
            Assert.Equal(0, engine.MemoryInUse);
        }

        // Four weights, two biases, two norms, sinks, slopes, the tensor; and the run that does not fail.
        Assert.Equal(12, rents);
    }

    /// <summary>A device that counts its memory and fails on demand; the reference behind copies, as a device would be.</summary>
    private sealed class CountingBackend(string device = "reference")
        : DelegatingBackend(DeviceCatalog.CreateBackend(AttentionEngine.SelectDevice(device).Device, new AttentionEngineOptions()))
    {
        private int _executions;

        public int Rented { get; private set; }

        public int Outstanding { get; private set; }

        /// <summary>The number of the execution that fails.</summary>
        public int FailingExecution { get; init; } = -1;

        /// <summary>The number of the rent that fails.</summary>
        public int FailingRent { get; set; } = -1;

        public override bool IsHostMemory => device == "simd";

        public override DeviceMemory Rent(long byteLength)
        {
            if (Rented++ == FailingRent)
                throw new AttentionMemoryException(byteLength, BytesInUse, BytesInUse);
            Outstanding++;
            return base.Rent(byteLength);
        }

        public override void Return(DeviceMemory memory)
        {
            Outstanding--;
            base.Return(memory);
        }

        protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
            AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) => Failing(plan);

        protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) =>
            Failing(plan);

        protected override IPlan<HeadTransformExtent, HeadTransformBuffers> Watch(
            HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan) => Failing(plan);

        private WatchedPlan<TExtent, TBuffers> Failing<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan)
            where TExtent : struct
            where TBuffers : struct =>
            new(plan, before: (_, _) =>
            {
                if (_executions++ == FailingExecution)
                    throw new InvalidOperationException("The device failed.");
            });
    }
}
