using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>A decode loop over a buffer of fixed capacity, whose key lengths grow by one each step.</summary>
[Collection(typeof(AloneTests))]
public class DecodeTests
{
    private const int Batch = 3;
    private const int Heads = 4;
    private const int KeyHeads = 2;
    private const int Size = 16;

    [Theory]
    [InlineData("simd", 400)]
    [InlineData("ilgpu-cpu", 24)]
    public void A_step_makes_no_plan_and_takes_no_memory_after_the_first(string device, int capacity)
    {
        using var backend = new WatchingBackend(
            device == "simd" ? new SimdBackend() : new AcceleratorBackend(AttentionEngine.SelectDevice(device).Device, long.MaxValue));
        using var engine = new AttentionEngine(backend);
        var cache = new Cache(capacity);
        using DeviceTensor<float> query = engine.CreateTensor(cache.Query.AsReadOnlyTensorSpan());
        using DeviceTensor<float> key = engine.CreateTensor(cache.Key.AsReadOnlyTensorSpan());
        using DeviceTensor<float> value = engine.CreateTensor(cache.Value.AsReadOnlyTensorSpan());
        using DeviceTensor<float> output = engine.CreateTensor<float>(Batch, Heads, 1, Size);
        long inUse = engine.MemoryInUse;
        for (int step = 1; step < capacity; step++)
        {
            cache.Grow(step);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = key, Value = value, KeyLengths = cache.Lengths },
                new AttentionOutputs<float> { Output = output },
                cache.Options);
            if (step == 1)
                backend.Reset();
        }

        Assert.Equal(0, backend.Plans);
        Assert.Equal(inUse, engine.MemoryInUse);

        // Every step rents the same, which the pool has kept from the first.
        Assert.Equal(0, backend.LargerRents);
        Tensor<float> actual = Tensor.CreateFromShape<float>(output.Lengths);
        output.CopyTo(actual);
        Close.Assert(cache.Expected(), actual, device);
    }

    [Theory]
    [InlineData("simd", 40)]
    [InlineData("ilgpu-cpu", 12)]
    public void A_step_in_the_memory_of_the_past_makes_no_plan_and_copies_no_row_of_it(string device, int capacity)
    {
        using var backend = new WatchingBackend(
            device == "simd" ? new SimdBackend() : new AcceleratorBackend(AttentionEngine.SelectDevice(device).Device, long.MaxValue));
        using var engine = new AttentionEngine(backend);
        var cache = new Cache(capacity);
        using DeviceTensor<float> keys = engine.CreateTensor<float>(Batch, KeyHeads, capacity, Size);
        using DeviceTensor<float> values = engine.CreateTensor<float>(Batch, KeyHeads, capacity, Size);
        using DeviceTensor<float> output = engine.CreateTensor<float>(Batch, Heads, 1, Size);
        using DeviceTensor<float> query = engine.CreateTensor(cache.Query.AsReadOnlyTensorSpan());
        using DeviceTensor<float> allKeys = engine.CreateTensor(cache.Key.AsReadOnlyTensorSpan());
        using DeviceTensor<float> allValues = engine.CreateTensor(cache.Value.AsReadOnlyTensorSpan());
        for (int step = 0; step < capacity; step++)
        {
            using DeviceTensor<float> key = allKeys.Slice(step, 1, axis: 2);
            using DeviceTensor<float> value = allValues.Slice(step, 1, axis: 2);
            using DeviceTensor<float> pastKey = keys.Slice(0, step, axis: 2);
            using DeviceTensor<float> pastValue = values.Slice(0, step, axis: 2);
            using DeviceTensor<float> presentKey = keys.Slice(0, step + 1, axis: 2);
            using DeviceTensor<float> presentValue = values.Slice(0, step + 1, axis: 2);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = key, Value = value, PastKey = pastKey, PastValue = pastValue },
                new AttentionOutputs<float> { Output = output, PresentKey = presentKey, PresentValue = presentValue }, cache.Options);
            if (step == 1)
                backend.Reset();
        }

        Assert.Equal(0, backend.Plans);

        // The new row of keys and that of values, in each step: no row of the past is copied.
        Assert.Equal(2 * capacity, backend.TransformedRows);
        Tensor<float> actual = Tensor.CreateFromShape<float>(output.Lengths);
        output.CopyTo(actual);
        cache.Grow(capacity, apart: 0);
        Close.Assert(cache.Expected(), actual, device);
    }

    [Fact]
    public void A_step_allocates_no_managed_bytes_on_simd() => AssertAllocatesNothing(AllocatedByLoop);

    [Fact]
    public void A_step_in_the_memory_of_the_past_allocates_no_managed_bytes_on_simd() => AssertAllocatesNothing(AllocatedInPlace);

    [Fact]
    public void A_step_of_scattered_rows_allocates_no_managed_bytes_on_simd() => AssertAllocatesNothing(AllocatedByScatter);

    private static void AssertAllocatesNothing(Func<AttentionEngine, long> loop)
    {
        using var engine = new AttentionEngine("simd");
        long allocated = long.MaxValue;

        // A garbage collection lets the framework's array pool go: one loop of several has none.
        for (int i = 0; i < 5 && allocated != 0; i++)
            allocated = loop(engine);
        Assert.Equal(0, allocated);
    }

    private static long AllocatedInPlace(AttentionEngine engine)
    {
        const int capacity = 300;
        var cache = new Cache(capacity);
        Tensor<float> keys = Data.Poisoned(Batch, KeyHeads, capacity, Size);
        Tensor<float> values = Data.Poisoned(Batch, KeyHeads, capacity, Size);
        Tensor<float> output = Data.Poisoned(Batch, Heads, 1, Size);
        long allocated = 0;
        for (int step = 0; step < capacity; step++)
        {
            var inputs = new AttentionInputs<float>
            {
                Query = cache.Query,
                Key = cache.Key.AsReadOnlyTensorSpan()[.., .., step..(step + 1), ..],
                Value = cache.Value.AsReadOnlyTensorSpan()[.., .., step..(step + 1), ..],
                PastKey = keys.AsReadOnlyTensorSpan()[.., .., ..step, ..],
                PastValue = values.AsReadOnlyTensorSpan()[.., .., ..step, ..],
            };
            var outputs = new AttentionOutputs<float>
            {
                Output = output,
                PresentKey = keys.AsTensorSpan()[.., .., ..(step + 1), ..],
                PresentValue = values.AsTensorSpan()[.., .., ..(step + 1), ..],
            };
            long before = GC.GetAllocatedBytesForCurrentThread();
            engine.ScaledDotProductAttention(inputs, outputs, cache.Options);
            if (step > 1)
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        }

        cache.Grow(capacity, apart: 0);
        Close.Assert(cache.Expected(), output, "simd");
        return allocated;
    }

    private static long AllocatedByScatter(AttentionEngine engine)
    {
        const int capacity = 300;
        var cache = new Cache(capacity);
        using DeviceTensor<float> keys = engine.CreateTensor<float>(Batch, KeyHeads, capacity, Size);
        using DeviceTensor<float> values = engine.CreateTensor<float>(Batch, KeyHeads, capacity, Size);
        Tensor<float> copy = Data.Poisoned(Batch, KeyHeads, capacity, Size);
        int[] at = new int[Batch];
        long allocated = 0;
        for (int step = 0; step < capacity; step++)
        {
            at.AsSpan().Fill(step);
            ReadOnlyTensorSpan<float> key = cache.Key.AsReadOnlyTensorSpan()[.., .., step..(step + 1), ..];
            Tensor<float> row = Tensor.CreateFromShape<float>([Batch, KeyHeads, 1, Size]);
            key.CopyTo(row.AsTensorSpan());
            long before = GC.GetAllocatedBytesForCurrentThread();
            engine.TensorScatter<float>(keys, row, at);
            engine.TensorScatter<float>(values, row, at, TensorScatterMode.Circular);
            engine.TensorScatter<float>(copy, key, at);
            if (step > 0)
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Assert.Equal(Data.Flat(cache.Key), Data.Flat(copy));
        keys.CopyTo(copy.AsTensorSpan());
        Assert.Equal(Data.Flat(cache.Key), Data.Flat(copy));
        values.CopyTo(copy.AsTensorSpan());
        Assert.Equal(Data.Flat(cache.Key), Data.Flat(copy));
        return allocated;
    }

    private static long AllocatedByLoop(AttentionEngine engine)
    {
        const int capacity = 300;
        var cache = new Cache(capacity);
        Tensor<float> output = Data.Poisoned(Batch, Heads, 1, Size);
        long allocated = 0;
        for (int step = 1; step < capacity; step++)
        {
            cache.Grow(step);
            var inputs = new AttentionInputs<float> { Query = cache.Query, Key = cache.Key, Value = cache.Value, KeyLengths = cache.Lengths };
            var outputs = new AttentionOutputs<float> { Output = output };
            long before = GC.GetAllocatedBytesForCurrentThread();
            engine.ScaledDotProductAttention(inputs, outputs, cache.Options);
            if (step > 1)
                allocated += GC.GetAllocatedBytesForCurrentThread() - before;
        }

        Close.Assert(cache.Expected(), output, "simd");
        return allocated;
    }

    private sealed class Cache(int capacity)
    {
        public Tensor<float> Query { get; } = Data.Random(new Random(), Batch, Heads, 1, Size);

        public Tensor<float> Key { get; } = Data.Random(new Random(), Batch, KeyHeads, capacity, Size);

        public Tensor<float> Value { get; } = Data.Random(new Random(), Batch, KeyHeads, capacity, Size);

        public int[] Lengths { get; } = new int[Batch];

        public AttentionOptions Options { get; } = new() { Causal = Causal.BottomRight };

        // Batch entries stand at different lengths.
        public void Grow(int step, int apart = 1)
        {
            for (int batch = 0; batch < Batch; batch++)
                Lengths[batch] = Math.Max(1, step - apart * batch);
        }

        public Tensor<float> Expected()
        {
            Tensor<float> expected = Data.Poisoned(Batch, Heads, 1, Size);
            Engines.Reference.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = Query, Key = Key, Value = Value, KeyLengths = Lengths },
                new AttentionOutputs<float> { Output = expected }, Options);
            return expected;
        }
    }

    private sealed class WatchingBackend(IBackend inner) : DelegatingBackend(inner)
    {
        private readonly HashSet<long> _rents = [];

        public int Plans { get; private set; }

        public int LargerRents { get; private set; }

        /// <summary>Rows of a head that were copied, normalised or rotated.</summary>
        public int TransformedRows { get; private set; }

        public void Reset() => (Plans, LargerRents) = (0, 0);

        public override DeviceMemory Rent(long byteLength)
        {
            if (_rents.Add(byteLength))
                LargerRents++;
            return base.Rent(byteLength);
        }

        protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
            AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan)
        {
            Plans++;
            return plan;
        }

        protected override IPlan<HeadTransformExtent, HeadTransformBuffers> Watch(
            HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan)
        {
            Plans++;
            return new WatchedPlan<HeadTransformExtent, HeadTransformBuffers>(
                plan, before: (extent, _) => TransformedRows += extent.Length);
        }
    }
}
