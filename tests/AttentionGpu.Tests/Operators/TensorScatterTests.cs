using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Tests.Operators;

/// <summary>Rows that are written into caches of fixed capacity: the definition of ONNX's <c>TensorScatter</c>, and ONNX Runtime.</summary>
public class TensorScatterTests
{
    private const int Problems = 40;

    /// <summary>The cases that the ONNX project publishes: mode, rows of the update, write indices, lengths of the cache.</summary>
    public static TheoryData<TensorScatterMode, int, int[], int[]> Published => new()
    {
        { TensorScatterMode.Linear, 1, [1, 2], [2, 1, 4, 5] },
        { TensorScatterMode.Linear, 1, [1, 2, 0], [3, 4, 5] },
        { TensorScatterMode.Circular, 2, [1, 3], [2, 1, 4, 5] },
    };

    [Theory]
    [EveryDevice]
    public void Random_rows_go_where_the_definition_says(string device)
    {
        AttentionEngine engine = Engines.Get(device);
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int i = 0; i < Problems; i++)
        {
            Problem problem = Problem.Draw(random);
            string context = $"{device}, seed {seed}, problem {i}: {problem}";
            Engines.ForElements(
                device, random.Next(), () => Assert(engine, problem, value => value, context),
                () => Assert(engine, problem, value => (Half)value, context),
                () => Assert(engine, problem, value => (BFloat16)value, context));
        }
    }

    [Theory]
    [MemberData(nameof(Published))]
    public void ONNX_Runtime_writes_the_same_rows(TensorScatterMode mode, int rows, int[] indices, int[] lengths)
    {
        var random = new Random();
        nint[] shape = [.. lengths.Select(length => (nint)length)];
        AssertLikeOnnxRuntime(new Problem(shape, rows, indices, mode, -2), random);
        for (int i = 0; i < Problems; i++)
            AssertLikeOnnxRuntime(Problem.Draw(random), random);
    }

    [Theory]
    [EveryDevice]
    public void Parts_of_a_device_tensor_are_written_and_read_where_they_are(string device)
    {
        // Caches of keys and values in one tensor, each with room behind it, and an update that is a part of one too.
        AttentionEngine engine = Engines.Get(device);
        var random = new Random();
        Tensor<float> before = Data.Random(random, 2, 3, 7, 11);
        Tensor<float> wide = Data.Random(random, 2, 3, 5, 13);
        using DeviceTensor<float> memory = engine.CreateTensor(before.AsReadOnlyTensorSpan());
        using DeviceTensor<float> source = engine.CreateTensor(wide.AsReadOnlyTensorSpan());
        using DeviceTensor<float> heads = memory.Slice(1, 2, axis: 1);
        using DeviceTensor<float> cache = heads.Slice(0, 5, axis: 2);
        using DeviceTensor<float> columns = source.Slice(1, 11, axis: 3);
        using DeviceTensor<float> ofHeads = columns.Slice(0, 2, axis: 1);
        using DeviceTensor<float> update = ofHeads.Slice(2, 3, axis: 2);
        engine.TensorScatter<float>(cache, update, [4, 1], TensorScatterMode.Circular);
        float[] expected = Data.Flat(before);
        for (int batch = 0; batch < 2; batch++)
        {
            for (int head = 0; head < 2; head++)
            {
                for (int i = 0; i < 3; i++)
                {
                    int row = ((batch == 0 ? 4 : 1) + i) % 5;
                    for (int column = 0; column < 11; column++)
                        expected[((batch * 3 + head + 1) * 7 + row) * 11 + column] = wide[batch, head, 2 + i, column + 1];
                }
            }
        }

        memory.CopyTo(before.AsTensorSpan());
        Xunit.Assert.Equal(expected, Data.Flat(before));
    }

    [Fact]
    public void A_wrong_argument_is_named_and_nothing_is_written()
    {
        float[] values = Data.Flat(Data.Random(new Random(1), 2 * 3 * 5 * 4));
        foreach (string device in Engines.All)
        {
            AttentionEngine engine = Engines.Get(device);
            foreach (bool onDevice in new[] { false, true })
            {
                AssertRefused("axis", "behind the batch", axis: 0);
                AssertRefused("axis", "behind the batch", axis: -4);
                AssertRefused("axis", "behind the batch", axis: 4);
                AssertRefused("mode", "named values", mode: (TensorScatterMode)2);
                AssertRefused("update", "[2, 3, 2, 4]", update: [2, 3, 2, 5]);
                AssertRefused("update", "[2, 3, 2, 4]", update: [1, 3, 2, 4]);
                AssertRefused("update", "the shape of 'cache'", update: [3, 2, 4]);
                AssertRefused("update", "at most the cache's 5 rows", update: [2, 3, 6, 4]);
                AssertRefused("writeIndices", "2 batch entries", indices: [1]);
                AssertRefused("writeIndices", "2 batch entries", indices: [1, 1, 1]);
                AssertRefused("writeIndices", "0 to 3", indices: [3, 4]);
                AssertRefused("writeIndices", "0 to 3", indices: [-1, 3]);
                AssertRefused("writeIndices", "at least 0", indices: [9, -1], mode: TensorScatterMode.Circular);

                void AssertRefused(
                    string name, string rule, nint[]? update = null, int[]? indices = null,
                    TensorScatterMode mode = TensorScatterMode.Linear, int axis = -2)
                {
                    nint[] lengths = update ?? [2, 3, 2, 4];
                    float[] memory = [.. values];
                    using DeviceTensor<float>? tensor =
                        onDevice ? engine.CreateTensor(new ReadOnlyTensorSpan<float>(memory, [2, 3, 5, 4])) : null;
                    Tensor<float> rows = Data.Random(new Random(2), lengths);
                    ArgumentException exception = Xunit.Assert.ThrowsAny<ArgumentException>(() => engine.TensorScatter<float>(
                        tensor is not null ? tensor : new TensorSpan<float>(memory, [2, 3, 5, 4]), rows, indices ?? [0, 1], mode, axis));
                    Xunit.Assert.Equal(name, exception.ParamName);
                    Xunit.Assert.Contains(rule, exception.Message, StringComparison.Ordinal);
                    tensor?.CopyTo(new TensorSpan<float>(memory, [2, 3, 5, 4]));
                    Xunit.Assert.Equal(values, memory);
                }
            }

            // The last good index, and one row of the update within the cache.
            float[] good = [.. values];
            engine.TensorScatter<float>(new TensorSpan<float>(good, [2, 3, 5, 4]), Data.Random(new Random(2), 2, 3, 2, 4), [3, 0]);
            foreach (int first in new[] { 0, 119 })
            {
                float[] memory = [.. values, .. values];
                ArgumentException exception = Xunit.Assert.Throws<ArgumentException>(() => engine.TensorScatter<float>(
                    new TensorSpan<float>(memory.AsSpan(0, 120), [2, 3, 5, 4]),
                    new ReadOnlyTensorSpan<float>(memory.AsSpan(first, 48), [2, 3, 2, 4])));
                Xunit.Assert.Equal("cache", exception.ParamName);
                Xunit.Assert.Equal(values, memory[..120]);
            }

            Xunit.Assert.Throws<NotSupportedException>(() => engine.TensorScatter<double>(
                new TensorSpan<double>(new double[2], [1, 2]), new ReadOnlyTensorSpan<double>(new double[1], [1, 1]), axis: 1));
        }
    }

    [Fact]
    public void Parts_of_device_tensors_whose_axes_do_not_join_are_refused()
    {
        AttentionEngine engine = Engines.Get("simd");
        using DeviceTensor<float> memory = engine.CreateTensor(Data.Random(new Random(1), 2, 3, 4, 5, 6).AsReadOnlyTensorSpan());
        using DeviceTensor<float> heads = memory.Slice(0, 2, axis: 2);
        using DeviceTensor<float> columns = memory.Slice(0, 5, axis: 4);
        Tensor<float> update = Data.Random(new Random(1), 2, 3, 2, 1, 6);
        Xunit.Assert.Equal("cache", Xunit.Assert.Throws<ArgumentException>(() => engine.TensorScatter<float>(heads, update)).ParamName);
        Tensor<float> narrow = Data.Random(new Random(1), 2, 3, 1, 5, 5);
        Xunit.Assert.Equal(
            "cache", Xunit.Assert.Throws<ArgumentException>(() => engine.TensorScatter<float>(columns, narrow, axis: 2)).ParamName);
    }

    private static void Assert<T>(AttentionEngine engine, Problem problem, Converter<float, T> store, string context)
        where T : unmanaged
    {
        var random = new Random(problem.GetHashCode());
        Tensor<T> Stored(nint[] lengths) => Tensor.Create(Array.ConvertAll(Data.Flat(Data.Random(random, lengths)), store), lengths);
        (Tensor<T> cache, Tensor<T> update) = (Stored(problem.Cache), Stored(problem.Update));
        T[] expected = problem.Expected(Data.Flat(cache), Data.Flat(update));
        foreach (bool isCacheOnDevice in new[] { false, true })
        {
            foreach (bool isUpdateOnDevice in new[] { false, true })
            {
                Tensor<T> actual = Tensor.Create(Data.Flat(cache), problem.Cache);
                using DeviceTensor<T>? target = isCacheOnDevice ? engine.CreateTensor(actual.AsReadOnlyTensorSpan()) : null;
                using DeviceTensor<T>? source = isUpdateOnDevice ? engine.CreateTensor(update.AsReadOnlyTensorSpan()) : null;
                engine.TensorScatter(
                    target is not null ? target : (TensorOutput<T>)actual, source is not null ? source : (TensorInput<T>)update,
                    problem.Indices, problem.Mode, problem.Axis);
                target?.CopyTo(actual.AsTensorSpan());
                Xunit.Assert.True(
                    MemoryMarshal.AsBytes(expected.AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(Data.Flat(actual).AsSpan())),
                    $"{typeof(T).Name}, device: cache {isCacheOnDevice}, update {isUpdateOnDevice}; {context}");
            }
        }

        // A strided cache in host memory, with gaps behind each element, and a strided update.
        T[] memory = new T[2 * expected.Length];
        nint[] strides = Strides(problem.Cache);
        Xunit.Assert.True(cache.AsReadOnlyTensorSpan().TryCopyTo(new TensorSpan<T>(memory, problem.Cache, strides)));
        T[] rows = new T[2 * (int)update.FlattenedLength];
        update.AsReadOnlyTensorSpan().CopyTo(new TensorSpan<T>(rows, problem.Update, Strides(problem.Update)));
        engine.TensorScatter<T>(
            new TensorSpan<T>(memory, problem.Cache, strides),
            new ReadOnlyTensorSpan<T>(rows, problem.Update, Strides(problem.Update)), problem.Indices, problem.Mode, problem.Axis);
        Xunit.Assert.Equal(expected, memory.Where((_, i) => i % 2 == 0));
        Xunit.Assert.All(memory.Where((_, i) => i % 2 == 1), value => Xunit.Assert.Equal(default, value));
    }

    private static void AssertLikeOnnxRuntime(Problem problem, Random random)
    {
        (Tensor<float> cache, Tensor<float> update) = (Data.Random(random, problem.Cache), Data.Random(random, problem.Update));
        var model = new OnnxModel();
        var values = new Dictionary<string, OrtValue>();
        var inputs = new List<string>
        {
            OnnxRuntimeOracle.Add(model, values, "past_cache", cache), OnnxRuntimeOracle.Add(model, values, "update", update),
        };
        if (problem.Indices.Length > 0)
        {
            long[] indices = [.. problem.Indices.Select(index => (long)index)];
            inputs.Add(OnnxRuntimeOracle.Add(model, values, "write_indices", Tensor.Create(indices, [indices.Length])));
        }

        string present = model.AddNode(
            "TensorScatter", [.. inputs], ["present_cache"], ("axis", problem.Axis),
            ("mode", problem.Mode == TensorScatterMode.Linear ? "linear" : "circular"));
        Tensor<float> expected = OnnxRuntimeOracle.Run(model, values, opset: 24, present)[0];
        Xunit.Assert.Equal(Data.Flat(expected), problem.Expected(Data.Flat(cache), Data.Flat(update)));
        Engines.Reference.TensorScatter<float>(cache, update, problem.Indices, problem.Mode, problem.Axis);
        Xunit.Assert.Equal(Data.Flat(expected), Data.Flat(cache));
    }

    // Of every second element; the stride of an axis of one element must be 0.
    private static nint[] Strides(nint[] lengths)
    {
        nint[] strides = new nint[lengths.Length];
        nint stride = 2;
        for (int axis = lengths.Length - 1; axis >= 0; axis--)
        {
            strides[axis] = lengths[axis] == 1 ? 0 : stride;
            stride *= lengths[axis];
        }

        return strides;
    }

    private sealed record Problem(nint[] Cache, int Rows, int[] Indices, TensorScatterMode Mode, int Axis)
    {
        public nint[] Update => [.. Cache.Select((length, axis) => axis == (Axis < 0 ? Axis + Cache.Length : Axis) ? Rows : length)];

        public static Problem Draw(Random random)
        {
            int[] sizes = [1, 2, 3, 5, 7, 11];
            nint[] cache = [.. Enumerable.Range(0, random.Next(2, 6)).Select(_ => (nint)sizes[random.Next(sizes.Length - 1)])];
            int axis = random.Next(1, cache.Length);
            cache[axis] = sizes[random.Next(sizes.Length)];
            int rows = random.Next(1, (int)cache[axis] + 1);
            var mode = (TensorScatterMode)random.Next(2);
            int end = mode == TensorScatterMode.Linear ? (int)cache[axis] - rows + 1 : (int)cache[axis];
            int[] indices = random.Next(5) == 0 ? [] : [.. Enumerable.Range(0, (int)cache[0]).Select(_ => random.Next(end))];
            return new Problem(cache, rows, indices, mode, random.Next(2) == 0 ? axis : axis - cache.Length);
        }

        // The pseudocode of the operator.
        public T[] Expected<T>(T[] cache, T[] update)
        {
            T[] present = [.. cache];
            int axis = Axis < 0 ? Axis + Cache.Length : Axis;
            int size = (int)Cache[(axis + 1)..].Aggregate((nint)1, (product, length) => product * length);
            int capacity = (int)Cache[axis];
            int matrices = (int)Cache[..axis].Aggregate((nint)1, (product, length) => product * length);
            for (int matrix = 0; matrix < matrices; matrix++)
            {
                int batch = matrix / (matrices / (int)Cache[0]);
                for (int i = 0; i < Rows; i++)
                {
                    int row = (Indices.Length == 0 ? 0 : Indices[batch]) + i;
                    if (Mode == TensorScatterMode.Circular)
                        row %= capacity;
                    Array.Copy(update, (matrix * Rows + i) * size, present, (matrix * capacity + row) * size, size);
                }
            }

            return present;
        }

        public override int GetHashCode() => HashCode.Combine(Rows, Mode, Axis, Cache.Length, Cache[0]);

        public override string ToString() =>
            $"[{string.Join(", ", Cache)}], {Rows} rows at [{string.Join(", ", Indices)}], {Mode}, axis {Axis}";
    }
}
