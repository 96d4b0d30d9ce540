using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Steps of a layer with a cache: what they take besides their arithmetic.</summary>
[Collection(typeof(AloneTests))]
public class CachedStepTests
{
    private const int Sequences = 3;
    private const int Layers = 2;
    private const int Capacity = 200;

    // More than a page, and more than a window cache keeps.
    private const int Steps = 80;
    private const int Size = 48;

    private static readonly MultiHeadAttentionConfig _config = new()
    {
        EmbeddingSize = Size,
        Heads = 6,
        KeyValueHeads = 2,
        Rotary = new RotaryEmbedding(),
        Window = new AttentionWindow { Left = 40 },
    };

    [Theory]
    [InlineData("reference", KeyValueCacheKind.Paged, 40, false)]
    [InlineData("simd", KeyValueCacheKind.Contiguous, Steps, false)]
    [InlineData("simd", KeyValueCacheKind.Paged, Steps, false)]
    [InlineData("simd", KeyValueCacheKind.Paged, Steps, true)]
    [InlineData("simd", KeyValueCacheKind.Window, Steps, false)]
    [InlineData("ilgpu-cpu", KeyValueCacheKind.Paged, 5, false)]
    [InlineData("ilgpu-cpu", KeyValueCacheKind.Paged, 5, true)]
    public void A_step_makes_no_plan_and_takes_no_memory_after_the_first(string device, KeyValueCacheKind kind, int steps, bool isTree)
    {
        using var backend = new WatchingBackend(device switch
        {
            "simd" => new SimdBackend(),
            "reference" => new ReferenceBackend(),
            _ => new AcceleratorBackend(AttentionEngine.SelectDevice(device).Device, long.MaxValue),
        });
        using var engine = new AttentionEngine(backend);
        using var decoding = new Decoding(engine, kind, isTree);
        long inUse = 0;
        for (int step = 0; step < steps; step++)
        {
            decoding.Step();
            if (step != 0)
                continue;
            backend.Reset();
            inUse = engine.MemoryInUse;
        }

        Assert.Equal(0, backend.Plans);
        Assert.Equal(inUse, engine.MemoryInUse);

        // Every step rents the same, which the pool has kept from the first.
        Assert.Equal(0, backend.LargerRents);
        decoding.Check(device);
    }

    [Theory]
    [InlineData(KeyValueCacheKind.Contiguous, false)]
    [InlineData(KeyValueCacheKind.Contiguous, true)]
    [InlineData(KeyValueCacheKind.Paged, false)]
    [InlineData(KeyValueCacheKind.Paged, true)]
    [InlineData(KeyValueCacheKind.Window, false)]
    public void A_step_allocates_no_managed_bytes_on_simd(KeyValueCacheKind kind, bool isTree)
    {
        using var engine = new AttentionEngine("simd");
        long allocated = long.MaxValue;

        // A garbage collection lets the framework's array pool go: one loop of several has none.
        for (int loop = 0; loop < 5 && allocated != 0; loop++)
        {
            using var decoding = new Decoding(engine, kind, isTree);
            allocated = 0;
            for (int step = 0; step < Steps; step++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                decoding.Step();
                if (step > 1)
                    allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            }

            decoding.Check("simd");
        }

        Assert.Equal(0, allocated);
    }

    /// <summary>
    /// Two layers of a model that decode three sequences; with trees two drafts of each at a time, of which the second is kept.
    /// </summary>
    private sealed class Decoding : IDisposable
    {
        private readonly MultiHeadAttention<float>[] _layers;
        private readonly KeyValueCache _cache;
        private readonly KeyValueSequence[] _sequences;
        private readonly MultiHeadAttentionConfig _own;
        private readonly int _drafts;
        private readonly int[] _lengths;
        private readonly int[] _parents;
        private readonly Tensor<float> _input;
        private readonly Tensor<float>[] _outputs;
        private readonly MultiHeadAttentionWeights[] _weights;

        // [step, sequence, size], of all steps.
        private readonly Tensor<float> _texts = Data.Random(new Random(), Capacity, Sequences, Size);
        private int _steps;

        public Decoding(AttentionEngine engine, KeyValueCacheKind kind, bool isTree)
        {
            _own = isTree ? _config with { Window = null } : _config;
            _drafts = isTree ? 2 : 1;
            _lengths = [.. Enumerable.Repeat(_drafts, Sequences)];
            _parents = [.. Enumerable.Repeat(-1, isTree ? Sequences * _drafts : 0)];
            _input = Data.Random(new Random(), Sequences * _drafts, Size);
            _outputs = [.. Enumerable.Range(0, Layers).Select(_ => Data.Poisoned(Sequences * _drafts, Size))];
            _weights = [.. Enumerable.Range(0, Layers).Select(_ => MultiHeadAttentionWeights.Random(_own, Random.Shared.Next()))];
            _layers = [.. _weights.Select(weights => new MultiHeadAttention<float>(engine, _own, weights))];
            _cache = engine.CreateCache(new KeyValueCacheOptions
            {
                KeyValueHeads = 2,
                HeadSize = 8,
                Layers = Layers,
                Sequences = Sequences,
                Kind = kind,
                Capacity = kind == KeyValueCacheKind.Window ? 60 : Capacity,
                Window = kind == KeyValueCacheKind.Window ? 41 : null,
            });
            _sequences = [.. Enumerable.Range(0, Sequences).Select(_ => _cache.Open())];
        }

        public void Step()
        {
            for (int i = 0; i < Sequences; i++)
            {
                for (int element = 0; element < Size; element++)
                    _input[(i + 1) * _drafts - 1, element] = _texts[_steps, i, element];
            }

            using (KeyValueBatch batch = _cache.Append(_sequences, _lengths, _parents))
            {
                for (int layer = 0; layer < _layers.Length; layer++)
                    _layers[layer].Forward(_input, _outputs[layer], batch, layer);
            }

            for (int i = 0; i < Sequences && _drafts > 1; i++)
                _sequences[i].KeepPath(_steps, [_drafts - 1]);
            _steps++;
        }

        /// <summary>Compares the last outputs with those of whole texts.</summary>
        public void Check(string device)
        {
            Tensor<float> texts = Tensor.Create(Data.Flat(_texts)[..(_steps * Sequences * Size)], [_steps, Sequences, Size]);
            MultiHeadAttentionConfig config = _own with { BatchFirst = false };
            for (int i = 0; i < Layers; i++)
            {
                using var layer = new MultiHeadAttention<float>(Engines.Reference, config, _weights[i]);
                Tensor<float> expected = Data.Poisoned(texts.Lengths);
                layer.Forward(texts, expected, Causal.TopLeft);
                float[] kept = [.. Data.Flat(_outputs[i]).Chunk(_drafts * Size).SelectMany(rows => rows[^Size..])];
                Close.Assert(Data.Flat(expected)[^(Sequences * Size)..], kept, device);
            }
        }

        public void Dispose()
        {
            _cache.Dispose();
            foreach (MultiHeadAttention<float> layer in _layers)
                layer.Dispose();
        }
    }

    private sealed class WatchingBackend(IBackend inner) : DelegatingBackend(inner)
    {
        private readonly HashSet<long> _rents = [];

        public int Plans { get; private set; }

        public int LargerRents { get; private set; }

        public void Reset() => (Plans, LargerRents) = (0, 0);

        public override DeviceMemory Rent(long byteLength)
        {
            if (_rents.Add(byteLength))
                LargerRents++;
            return base.Rent(byteLength);
        }

        protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
            AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) => Count(plan);

        protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) =>
            Count(plan);

        protected override IPlan<HeadTransformExtent, HeadTransformBuffers> Watch(
            HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan) => Count(plan);

        private IPlan<TExtent, TBuffers> Count<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan)
            where TExtent : struct
            where TBuffers : struct
        {
            Plans++;
            return plan;
        }
    }
}
