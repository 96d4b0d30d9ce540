using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// Decoding in a buffer of fixed capacity: by past and present in one memory, and by <c>TensorScatter</c> with key lengths. What is
/// attended to is what calls without a past give. <c>VariantTests</c> draw the former together with everything else.
/// </summary>
public partial class PastPresentTests
{
    private const int Batch = 2;
    private const int Heads = 4;
    private const int KeyHeads = 2;
    private const int Size = 6;
    private const int ValueSize = 5;

    // The rows of each step.
    private static readonly int[] _steps = [3, 1, 2, 1];

    private static readonly AttentionOptions _causal = new() { Causal = Causal.BottomRight };

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Steps_in_one_memory_are_those_over_all_keys(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int seed = Fuzz.Seed();
        foreach (bool onDevice in new[] { false, true })
        {
            Engines.ForElements(
                device, seed, () => Steps(engine, seed, onDevice, value => value, value => value, 1e-5),
                () => Steps(engine, seed, onDevice, value => (Half)value, value => (float)value, 3e-3),
                () => Steps(engine, seed, onDevice, value => (BFloat16)value, value => value, 2e-2));
        }
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Scattered_rows_with_key_lengths_are_attended_to_as_rows_one_behind_another(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int seed = Fuzz.Seed();
        foreach (bool onDevice in new[] { false, true })
        {
            Engines.ForElements(
                device, seed, () => Scatter(engine, seed, onDevice, value => value, value => value, 1e-5),
                () => Scatter(engine, seed, onDevice, value => (Half)value, value => (float)value, 3e-3),
                () => Scatter(engine, seed, onDevice, value => (BFloat16)value, value => value, 2e-2));
        }
    }

    [Fact]
    public void ONNX_Runtime_decodes_in_place_alike()
    {
        var random = new Random();
        const int capacity = 9;
        Tensor<float> keys = Data.Random(random, Batch, KeyHeads, capacity, Size);
        Tensor<float> values = Data.Random(random, Batch, KeyHeads, capacity, ValueSize);
        Tensor<float> query = Data.Random(random, Batch, Heads, 2, Size);
        (Tensor<float> key, Tensor<float> value) =
            (Data.Random(random, Batch, KeyHeads, 2, Size), Data.Random(random, Batch, KeyHeads, 2, ValueSize));
        int[] indices = [3, 6];
        int[] lengths = [5, 8];
        var model = new OnnxModel();
        var inputs = new Dictionary<string, OrtValue>();
        string at = OnnxRuntimeOracle.Add(model, inputs, "indices", Tensor.Create([.. indices.Select(index => (long)index)], [Batch]));
        string Scattered(string name, Tensor<float> cache, Tensor<float> update) => model.AddNode(
            "TensorScatter",
            [OnnxRuntimeOracle.Add(model, inputs, name, cache), OnnxRuntimeOracle.Add(model, inputs, name + "_update", update), at],
            [name + "_present"]);
        string output = model.AddNode(
            "Attention",
            [
                OnnxRuntimeOracle.Add(model, inputs, "query", query), Scattered("key", keys, key), Scattered("value", values, value), "", "",
                "", OnnxRuntimeOracle.Add(model, inputs, "lengths", Tensor.Create([.. lengths.Select(length => (long)length)], [Batch])),
            ],
            ["output"], ("is_causal", 1));
        Tensor<float> expected = OnnxRuntimeOracle.Run(model, inputs, opset: 24, output)[0];
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            (Tensor<float> keyCache, Tensor<float> valueCache) =
                (Tensor.Create(Data.Flat(keys), keys.Lengths), Tensor.Create(Data.Flat(values), values.Lengths));
            Tensor<float> actual = Data.Poisoned(Batch, Heads, 2, ValueSize);
            engine.TensorScatter<float>(keyCache, key, indices);
            engine.TensorScatter<float>(valueCache, value, indices);
            engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = query, Key = keyCache, Value = valueCache, KeyLengths = lengths },
                new AttentionOutputs<float> { Output = actual }, _causal);
            Close.Assert(expected, actual, device);
        }
    }

    [Fact]
    public void Keys_and_values_share_memory_each_by_itself()
    {
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            foreach (bool onDevice in new[] { false, true })
            {
                foreach ((bool key, bool value) in new[] { (true, false), (false, true) })
                {
                    var step = new Step(new Random(5), past: 4, length: 3);
                    using var keys = step.Keys(onDevice ? engine : null);
                    using var values = step.Values(onDevice ? engine : null);
                    Tensor<float> presentKey = Data.Poisoned(Batch, KeyHeads, 7, Size);
                    Tensor<float> presentValue = Data.Poisoned(Batch, KeyHeads, 7, ValueSize);
                    Tensor<float> output = step.Run(
                        engine, key ? keys.Past : step.PastKey, value ? values.Past : step.PastValue, key ? keys.Present : presentKey,
                        value ? values.Present : presentValue);
                    Close.Assert(step.Expected, output, $"{device}, {onDevice}");
                    Assert.Equal(step.AllKeys, Data.Flat(key ? keys.Written() : presentKey));
                    Assert.Equal(step.AllValues, Data.Flat(value ? values.Written() : presentValue));
                }
            }
        }
    }

    [Fact]
    public void Strided_tensors_of_any_kind_are_the_past_and_the_present()
    {
        // Rows before heads; gaps behind elements, which no backend uses in place; a past that is apart from the present.
        const int total = 7;
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            foreach (nint[] strides in new nint[][] { [400, 8, 20, 1], [600, 300, 30, 2], [400, 200, 9, 1] })
            {
                foreach (bool isShared in new[] { true, false })
                {
                    var step = new Step(new Random(6), past: 4, length: 3);
                    float[] memory = new float[1300];
                    float[] apart = new float[1300];
                    Array.Fill(memory, float.NaN);
                    float[] pastMemory = isShared ? memory : apart;
                    step.PastKey.CopyTo(new TensorSpan<float>(pastMemory, [Batch, KeyHeads, 4, Size], strides));
                    float[] presentValue = new float[Batch * KeyHeads * total * ValueSize];
                    Tensor<float> output = step.Run(
                        engine, new ReadOnlyTensorSpan<float>(pastMemory, [Batch, KeyHeads, 4, Size], strides), step.PastValue,
                        new TensorSpan<float>(memory, [Batch, KeyHeads, total, Size], strides),
                        new TensorSpan<float>(presentValue, [Batch, KeyHeads, total, ValueSize]));
                    Close.Assert(step.Expected, output, $"{device}, {strides[1]}, {isShared}");
                    float[] written = new float[step.AllKeys.Length];
                    new ReadOnlyTensorSpan<float>(memory, [Batch, KeyHeads, total, Size], strides).FlattenTo(written);
                    Assert.Equal(step.AllKeys, written);
                    Assert.Equal(written.Length, memory.Count(value => !float.IsNaN(value)));
                }
            }
        }
    }

    /// <summary>Where the present starts, and its strides of batch, heads and rows, beside a past of [90, 30, 6, 1].</summary>
    [Theory]
    [InlineData(1, 90, 30, 6)]
    [InlineData(6, 90, 30, 6)]
    [InlineData(0, 120, 30, 6)]
    [InlineData(0, 90, 36, 6)]
    [InlineData(0, 90, 30, 7)]
    public void Another_overlap_is_refused_and_nothing_is_written(int start, int batchStride, int headStride, int rowStride)
    {
        nint[] lengths = [Batch, KeyHeads, 4, Size];
        nint[] strides = [batchStride, headStride, rowStride, 1];
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            var step = new Step(new Random(7), past: 3, length: 1);
            float[] memory = Data.Flat(Data.Random(new Random(8), 400));
            float[] before = [.. memory];
            ArgumentException exception = Assert.Throws<ArgumentException>(() => step.Run(
                engine, new ReadOnlyTensorSpan<float>(memory, [Batch, KeyHeads, 3, Size], [90, 30, 6, 1]), step.PastValue,
                new TensorSpan<float>(memory.AsSpan(start), lengths, strides), default));
            Assert.Contains("'presentKey' must not overlap 'pastKey'", exception.Message, StringComparison.Ordinal);
            Assert.Equal(before, memory);

            // The values' past is another tensor.
            exception = Assert.Throws<ArgumentException>(() => step.Run(
                engine, step.PastKey, new ReadOnlyTensorSpan<float>(memory, [Batch, KeyHeads, 3, ValueSize], [90, 30, 6, 1]),
                new TensorSpan<float>(memory, [Batch, KeyHeads, 4, Size], [90, 30, 6, 1]), default));
            Assert.Contains("'presentKey' must not overlap 'pastValue'", exception.Message, StringComparison.Ordinal);
            Assert.Equal(before, memory);
        }
    }

    [Fact]
    public void A_step_without_memory_at_any_point_writes_nothing()
    {
        int rents = 0;
        for (bool failed = true; failed; rents++)
        {
            int left = rents;
            using var backend = new FaultyBackend
            {
                BeforeRent = bytes =>
                {
                    if (left-- == 0)
                        throw new AttentionMemoryException(bytes, 0, 0);
                },
            };
            using var engine = new AttentionEngine(backend);
            var step = new Step(new Random(9), past: 4, length: 3);
            using PresentBuffer<float> keys = step.Keys(null);
            using PresentBuffer<float> values = step.Values(null);
            Exception? error = Record.Exception(() => step.Run(engine, keys.Past, values.Past, keys.Present, values.Present));
            failed = error is AttentionMemoryException;
            if (!failed)
                continue;
            keys.AssertUnchanged();
            values.AssertUnchanged();
        }

        // The workspace alone: keys and values are where they are.
        Assert.Equal(2, rents);
    }

    [Fact]
    public void Device_tensors_that_overlap_otherwise_are_refused()
    {
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            var step = new Step(new Random(7), past: 3, length: 1);
            using DeviceTensor<float> memory =
                engine.CreateTensor(Data.Random(new Random(8), Batch, KeyHeads, 9, Size).AsReadOnlyTensorSpan());
            using DeviceTensor<float> past = memory.Slice(0, 3, axis: 2);
            foreach (int start in new[] { 1, 2, 5 })
            {
                using DeviceTensor<float> present = memory.Slice(start, 4, axis: 2);
                ArgumentException exception = Assert.Throws<ArgumentException>(
                    () => step.Run(engine, past, step.PastValue, present, default));
                Assert.Contains("'presentKey' must not overlap 'pastKey'", exception.Message, StringComparison.Ordinal);
            }

            // A part with gaps goes to attention alone.
            using DeviceTensor<float> whole = engine.CreateTensor(Data.Random(new Random(8), 4, 9).AsReadOnlyTensorSpan());
            using DeviceTensor<float> columns = whole.Slice(0, Size, axis: 1);
            Tensor<float> output = Data.Poisoned(4, 1);
            ArgumentException gaps = Assert.Throws<ArgumentException>(
                () => engine.Linear<float>(columns, Data.Random(new Random(1), 1, Size), output));
            Assert.Equal("input", gaps.ParamName);
            Assert.Contains("no gaps", gaps.Message, StringComparison.Ordinal);
            Assert.All(Data.Flat(output), value => Assert.True(float.IsNaN(value)));
        }
    }

    // Steps of several rows each, normalised and rotated; values are as they are.
    private static void Steps<T>(
        AttentionEngine engine, int seed, bool onDevice, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged
    {
        var random = new Random(seed);
        int total = _steps.Sum();
        nint[] keyLengths = [Batch, KeyHeads, total, Size];
        Tensor<T> Stored(params ReadOnlySpan<nint> lengths) =>
            Tensor.Create(Array.ConvertAll(Data.Flat(Data.Random(random, lengths)), store), lengths);
        (Tensor<T> query, Tensor<T> key, Tensor<T> value) =
            (Stored(Batch, Heads, total, Size), Stored(keyLengths), Stored(Batch, KeyHeads, total, ValueSize));
        (Tensor<float> norm, Tensor<float> cosine, Tensor<float> sine) =
            (Data.Random(random, Size), Data.Random(random, total, 2), Data.Random(random, total, 2));
        Tensor<T> expected = Tensor.CreateFromShape<T>([Batch, Heads, total, ValueSize]);
        Engines.Reference.ScaledDotProductAttention(
            new AttentionInputs<T>
            {
                Query = query,
                Key = key,
                Value = value,
                QueryNorm = norm,
                KeyNorm = norm,
                RotaryCosine = cosine,
                RotarySine = sine,
            },
            new AttentionOutputs<T> { Output = expected }, _causal);

        T poison = store(float.NaN);
        using var keys = new StepBuffer<T>(engine, onDevice, [Batch, KeyHeads, total + 2, Size], poison);
        using var values = new StepBuffer<T>(engine, onDevice, [Batch, KeyHeads, total + 2, ValueSize], poison);
        int past = 0;
        foreach (int rows in _steps)
        {
            Tensor<T> Rows(Tensor<T> tensor) => tensor[.., .., past..(past + rows), ..].ToDenseTensor();
            Tensor<T> output = Tensor.CreateFromShape<T>([Batch, Heads, rows, ValueSize]);
            output.Fill(poison);
            keys.Take(past, past + rows);
            values.Take(past, past + rows);
            engine.ScaledDotProductAttention(
                new AttentionInputs<T>
                {
                    Query = Rows(query),
                    Key = Rows(key),
                    Value = Rows(value),
                    PastKey = keys.Past,
                    PastValue = values.Past,
                    QueryNorm = norm,
                    KeyNorm = norm,
                    RotaryCosine = cosine,
                    RotarySine = sine,
                },
                new AttentionOutputs<T> { Output = output, PresentKey = keys.Present, PresentValue = values.Present }, _causal);
            keys.AssertOthersUnchanged();
            values.AssertOthersUnchanged();
            Close.Assert(
                Array.ConvertAll(Data.Flat(Rows(expected)), load), Array.ConvertAll(Data.Flat(output), load),
                $"{engine.Device.Name}, {typeof(T).Name}, past {past}, seed {seed}", tolerance);
            past += rows;
        }

        Assert.True(
            MemoryMarshal.AsBytes(Data.Flat(value).AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(values.Rows(0, past).AsSpan())),
            "values are copied as they are");
    }

    // Batch entries have lengths of their own; behind them there is NaN.
    private static void Scatter<T>(
        AttentionEngine engine, int seed, bool onDevice, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged
    {
        var random = new Random(seed);
        const int capacity = 13;
        int[] lengths = [0, 4];
        T poison = store(float.NaN);
        using var keys = new StepBuffer<T>(engine, onDevice, [Batch, KeyHeads, capacity, Size], poison);
        using var values = new StepBuffer<T>(engine, onDevice, [Batch, KeyHeads, capacity, ValueSize], poison);
        Tensor<T> Stored(params ReadOnlySpan<nint> shape) =>
            Tensor.Create(Array.ConvertAll(Data.Flat(Data.Random(random, shape)), store), shape);
        (Tensor<T> allKeys, Tensor<T> allValues) = (Stored(Batch, KeyHeads, capacity, Size), Stored(Batch, KeyHeads, capacity, ValueSize));

        // The second entry has rows already.
        engine.TensorScatter(keys.Whole, allKeys[.., .., ..4, ..].ToDenseTensor());
        engine.TensorScatter(values.Whole, allValues[.., .., ..4, ..].ToDenseTensor());
        foreach (int rows in _steps)
        {
            Tensor<T> Next(Tensor<T> all)
            {
                Tensor<T> next = Tensor.CreateFromShape<T>([Batch, KeyHeads, rows, all.Lengths[3]]);
                for (int batch = 0; batch < Batch; batch++)
                {
                    all.AsTensorSpan()[batch..(batch + 1), .., lengths[batch]..(lengths[batch] + rows), ..]
                        .CopyTo(next.AsTensorSpan()[batch..(batch + 1), .., .., ..]);
                }

                return next;
            }

            Tensor<T> query = Stored(Batch, Heads, rows, Size);
            Tensor<T> output = Tensor.CreateFromShape<T>([Batch, Heads, rows, ValueSize]);
            output.Fill(poison);
            engine.TensorScatter<T>(keys.Whole, Next(allKeys), lengths);
            engine.TensorScatter<T>(values.Whole, Next(allValues), lengths);
            lengths = [.. lengths.Select(length => length + rows)];
            engine.ScaledDotProductAttention(
                new AttentionInputs<T> { Query = query, Key = keys.Whole.AsInput(), Value = values.Whole.AsInput(), KeyLengths = lengths },
                new AttentionOutputs<T> { Output = output }, _causal);
            for (int batch = 0; batch < Batch; batch++)
            {
                Tensor<T> Entry(Tensor<T> tensor, int end) => tensor[batch..(batch + 1), .., ..end, ..].ToDenseTensor();
                Tensor<T> expected = Engines.Reference.ScaledDotProductAttention(
                    Entry(query, rows), Entry(allKeys, lengths[batch]), Entry(allValues, lengths[batch]), _causal);
                Close.Assert(
                    Array.ConvertAll(Data.Flat(expected), load), Array.ConvertAll(Data.Flat(Entry(output, rows)), load),
                    $"{engine.Device.Name}, {typeof(T).Name}, entry {batch} of {lengths[batch]}, seed {seed}", tolerance);
            }
        }
    }
}
