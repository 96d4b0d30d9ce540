using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Views of device tensors, and copies that do not wait.</summary>
public class DeviceTensorViewTests
{
    [Theory]
    [EveryDevice]
    public void A_reshaped_tensor_is_the_same_memory_under_other_axes(string backend)
    {
        Tensor<float> source = Data.Random(new Random(1), 3, 4, 5);
        using DeviceTensor<float> tensor = Engines.Get(backend).CreateTensor(source.AsReadOnlyTensorSpan());
        using DeviceTensor<float> flat = tensor.Reshape(60);
        using DeviceTensor<float> matrix = flat.Reshape(12, 5);
        Assert.Equal([12, 5], matrix.Lengths.ToArray());
        Assert.Equal((2, 60), (matrix.Rank, matrix.FlattenedLength));
        Assert.Equal(Data.Flat(source), Data.Flat(ToHost(matrix)));

        Tensor<float> other = Data.Random(new Random(2), 12, 5);
        matrix.CopyFrom(other.AsReadOnlyTensorSpan());
        Assert.Equal(Data.Flat(other), Data.Flat(ToHost(tensor)));
    }

    [Theory]
    [EveryDevice]
    public void A_slice_is_a_part_of_the_first_axis(string backend)
    {
        Tensor<float> source = Data.Random(new Random(1), 7, 3, 5);
        using DeviceTensor<float> tensor = Engines.Get(backend).CreateTensor(source.AsReadOnlyTensorSpan());
        using DeviceTensor<float> part = tensor.Slice(2, 4);
        using DeviceTensor<float> partOfPart = part.Slice(1, 2);
        using DeviceTensor<float> reshaped = partOfPart.Reshape(5, 6);
        using DeviceTensor<float> none = tensor.Slice(7, 0);
        Assert.Equal([4, 3, 5], part.Lengths.ToArray());
        Assert.Equal([2, 3, 5], partOfPart.Lengths.ToArray());
        Assert.Equal([0, 3, 5], none.Lengths.ToArray());
        Assert.Equal(Data.Flat(source)[30..90], Data.Flat(ToHost(part)));
        Assert.Equal(Data.Flat(source)[45..75], Data.Flat(ToHost(partOfPart)));
        Assert.Equal(Data.Flat(source)[45..75], Data.Flat(ToHost(reshaped)));
        Assert.Empty(ToHost(none));

        partOfPart.CopyFrom(Tensor.CreateFromShape<float>([2, 3, 5]).AsReadOnlyTensorSpan());
        float[] expected = Data.Flat(source);
        Array.Clear(expected, 45, 30);
        Assert.Equal(expected, Data.Flat(ToHost(tensor)));
    }

    [Theory]
    [EveryDevice]
    public void A_slice_of_another_axis_has_gaps_and_is_attended_to_where_it_is(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        Tensor<float> source = Data.Random(new Random(1), 2, 7, 5, 6);
        using DeviceTensor<float> tensor = engine.CreateTensor(source.AsReadOnlyTensorSpan());
        using DeviceTensor<float> rows = tensor.Slice(1, 3, axis: 2);
        using DeviceTensor<float> heads = rows.Slice(2, 4, axis: 1);
        using DeviceTensor<float> part = heads.Slice(1, 5, axis: 3);
        using DeviceTensor<float> none = rows.Slice(7, 0, axis: 1);
        using DeviceTensor<float> alone = tensor.Slice(1, 1).Slice(3, 2, axis: 1);
        Assert.Equal([2, 4, 3, 5], part.Lengths.ToArray());
        Assert.Equal([2, 0, 3, 6], none.Lengths.ToArray());
        Assert.Equal(Data.Flat(source)[300..360], Data.Flat(ToHost(alone)));
        Tensor<float> dense = source[.., 2..6, 1..4, 1..6].ToDenseTensor();
        Tensor<float> output = Data.Poisoned(2, 4, 3, 5);
        engine.ScaledDotProductAttention<float>(part, part, part, output);
        Close.Assert(engine.ScaledDotProductAttention(dense, dense, dense), output, backend);

        // An output with gaps leaves what is in them.
        engine.ScaledDotProductAttention<float>(dense, dense, dense, part);
        Tensor<float> expected = Tensor.Create(Data.Flat(source), source.Lengths);
        output.CopyTo(expected.AsTensorSpan()[.., 2..6, 1..4, 1..6]);
        Close.Assert(expected, ToHost(tensor), backend);
    }

    [Fact]
    public async Task A_slice_with_gaps_has_no_copies_and_no_other_axes()
    {
        using DeviceTensor<float> tensor = Engines.Get("simd").CreateTensor<float>(3, 4);
        using DeviceTensor<float> part = tensor.Slice(1, 2, axis: 1);
        Tensor<float> host = Data.Poisoned(3, 2);
        Assert.Throws<InvalidOperationException>(() => part.Reshape(6));
        Assert.Throws<InvalidOperationException>(() => part.CopyFrom(host.AsReadOnlyTensorSpan()));
        Assert.Throws<InvalidOperationException>(() => part.CopyTo(host.AsTensorSpan()));
        CancellationToken token = TestContext.Current.CancellationToken;
        await Assert.ThrowsAsync<InvalidOperationException>(() => part.CopyFromAsync(host, token));
        await Assert.ThrowsAsync<InvalidOperationException>(() => part.CopyToAsync(host, token));
        Assert.All(Data.Flat(host), value => Assert.True(float.IsNaN(value)));
        foreach (int axis in new[] { -1, 2 })
            Assert.Equal("axis", Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Slice(0, 1, axis)).ParamName);
        Assert.Equal("start", Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Slice(5, 0, axis: 1)).ParamName);
        Assert.Equal("length", Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Slice(1, 4, axis: 1)).ParamName);
    }

    [Theory]
    [EveryDevice(WithOtherKernels = true)]
    public void Operators_read_and_write_slices_that_start_anywhere(string backend)
    {
        AssertSliced(backend, value => value, value => value, Close.Tolerance);
        AssertSliced(backend, value => (Half)value, value => (float)value, 2e-3);
        AssertSliced(backend, value => (BFloat16)value, value => value, 1e-2);
    }

    // Inputs and outputs are parts of one tensor, each an element behind a round address.
    private static void AssertSliced<T>(string backend, Converter<float, T> store, Converter<T, float> load, double tolerance)
        where T : unmanaged
    {
        AttentionEngine engine = Engines.Get(backend);
        nint[] lengths = [1, 2, 17, 8];
        const int count = 272;
        Tensor<float>[] inputs = [.. Enumerable.Range(1, 3).Select(seed => Data.Random(new Random(seed), lengths))];
        Tensor<T>[] stored = [.. inputs.Select(tensor => Tensor.Create(Array.ConvertAll(Data.Flat(tensor), store), lengths))];
        Tensor<T> expected = engine.ScaledDotProductAttention(stored[0], stored[1], stored[2]);

        T poison = store(float.NaN);
        using DeviceTensor<T> all = engine.CreateTensor<T>(4 * (count + 1) + 1);
        all.CopyFrom(Enumerable.Repeat(poison, 4 * (count + 1) + 1).ToArray());
        DeviceTensor<T>[] flat = [.. Enumerable.Range(0, 4).Select(i => all.Slice(1 + i * (count + 1), count))];
        DeviceTensor<T>[] parts = [.. flat.Select(part => part.Reshape(lengths))];
        for (int i = 0; i < 3; i++)
            parts[i].CopyFrom(stored[i].AsReadOnlyTensorSpan());
        engine.ScaledDotProductAttention<T>(parts[0], parts[1], parts[2], parts[3]);
        Close.Assert(
            Array.ConvertAll(Data.Flat(expected), load), Array.ConvertAll(Data.Flat(ToHost(parts[3])), load), $"{backend} {typeof(T)}",
            tolerance);

        // What lies between the parts is as it was.
        T[] after = Data.Flat(ToHost(all));
        Assert.All([0, 273, 546, 819, 1092], place => Assert.True(float.IsNaN(load(after[place])), $"{backend} {typeof(T)} {place}"));
        Array.ForEach([.. flat, .. parts], part => part.Dispose());
    }

    [Fact]
    public void An_output_may_be_another_part_of_a_tensor_but_not_the_same_one()
    {
        AttentionEngine engine = Engines.Get("simd");
        using DeviceTensor<float> all = engine.CreateTensor(Data.Random(new Random(1), 9, 4).AsReadOnlyTensorSpan());
        using DeviceTensor<float> weight = engine.CreateTensor(Data.Random(new Random(2), 4, 4).AsReadOnlyTensorSpan());
        using DeviceTensor<float> input = all.Slice(0, 4);
        using DeviceTensor<float> apart = all.Slice(4, 4);
        using DeviceTensor<float> overlapping = all.Slice(3, 4);
        using DeviceTensor<float> reshaped = all.Slice(0, 4).Reshape(4, 4);
        engine.Linear<float>(input, weight, apart);
        Tensor<float> before = ToHost(all);
        foreach (DeviceTensor<float> output in new[] { overlapping, reshaped, input })
        {
            ArgumentException exception = Assert.Throws<ArgumentException>(() => engine.Linear<float>(input, weight, output));
            Assert.Contains("overlap", exception.Message, StringComparison.Ordinal);
        }

        Assert.Equal(Data.Flat(before), Data.Flat(ToHost(all)));
    }

    [Fact]
    public void Views_have_their_rules()
    {
        using DeviceTensor<float> tensor = Engines.Get("simd").CreateTensor<float>(3, 4);
        foreach (nint[] lengths in new nint[][] { [], [11], [13], [3, 5], [0] })
            Assert.Equal("lengths", Assert.Throws<ArgumentException>(() => tensor.Reshape(lengths)).ParamName);
        Assert.Equal("lengths", Assert.ThrowsAny<ArgumentException>(() => tensor.Reshape(-3, -4)).ParamName);
        foreach ((nint start, nint length, string name) in new (nint, nint, string)[]
        {
            (-1, 1, "start"), (4, 0, "start"), (0, -1, "length"), (0, 4, "length"), (3, 1, "length"), (nint.MaxValue, 1, "start"),
            (1, nint.MaxValue, "length"),
        })
        {
            ArgumentOutOfRangeException exception = Assert.Throws<ArgumentOutOfRangeException>(() => tensor.Slice(start, length));
            Assert.Equal((name, (object)(name == "start" ? start : length)), (exception.ParamName, exception.ActualValue!));
        }

        using DeviceTensor<float> scalar = Engines.Get("simd").CreateTensor<float>();
        Assert.Equal((0, 1), (scalar.Rank, scalar.FlattenedLength));
        Assert.Throws<InvalidOperationException>(() => scalar.Slice(0, 1));
        tensor.Dispose();
        Assert.Throws<ObjectDisposedException>(() => tensor.Reshape(12));
        Assert.Throws<ObjectDisposedException>(() => tensor.Slice(0, 1));
    }

    [Theory]
    [EveryDevice]
    public async Task Asynchronous_copies_keep_every_element(string backend)
    {
        Tensor<float> source = Data.Random(new Random(1), 5, 7);
        using DeviceTensor<float> tensor = Engines.Get(backend).CreateTensor(Data.Poisoned(5, 7).AsReadOnlyTensorSpan());
        CancellationToken token = TestContext.Current.CancellationToken;
        await tensor.CopyFromAsync(source, token);
        Tensor<float> target = Data.Poisoned(5, 7);
        await tensor.CopyToAsync(target, token);
        Assert.Equal(Data.Flat(source), Data.Flat(target));
    }

    [Fact]
    public async Task Asynchronous_copies_have_the_rules_of_the_others()
    {
        using DeviceTensor<float> tensor = Engines.Get("simd").CreateTensor(Data.Random(new Random(1), 5, 7).AsReadOnlyTensorSpan());
        CancellationToken token = TestContext.Current.CancellationToken;
        Tensor<float> turned = Data.Poisoned(7, 5);
        Assert.Equal("source", (await Assert.ThrowsAsync<ArgumentException>(() => tensor.CopyFromAsync(turned, token))).ParamName);
        Assert.Equal("target", (await Assert.ThrowsAsync<ArgumentException>(() => tensor.CopyToAsync(Data.Poisoned(35), token))).ParamName);
        Assert.Equal("source", (await Assert.ThrowsAsync<ArgumentNullException>(() => tensor.CopyFromAsync(null!, token))).ParamName);
        Assert.Equal("target", (await Assert.ThrowsAsync<ArgumentNullException>(() => tensor.CopyToAsync(null!, token))).ParamName);

        Tensor<float> target = Data.Poisoned(5, 7);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => tensor.CopyToAsync(target, new CancellationToken(true)));
        tensor.Dispose();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => tensor.CopyToAsync(target, token));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => tensor.CopyFromAsync(target, token));
        Assert.All(target, value => Assert.True(float.IsNaN(value)));
    }

    private static Tensor<T> ToHost<T>(DeviceTensor<T> tensor)
        where T : unmanaged
    {
        Tensor<T> host = Tensor.CreateFromShape<T>(tensor.Lengths);
        tensor.CopyTo(host.AsTensorSpan());
        return host;
    }

    [Fact]
    public async Task A_copy_holds_its_tensor_until_it_ends()
    {
        using var engine = new AttentionEngine("simd");
        Tensor<float> source = Data.Random(new Random(1), 3, 5);
        DeviceTensor<float> tensor = engine.CreateTensor<float>(3, 5);
        tensor.CopyFrom(source.AsReadOnlyTensorSpan());
        Tensor<float> target = Data.Poisoned(3, 5);
        Task copy = tensor.CopyToAsync(target, TestContext.Current.CancellationToken);
        tensor.Dispose();
        await copy;
        Assert.Equal(Data.Flat(source), Data.Flat(target));
        Assert.Equal(0, engine.MemoryInUse);
    }

    [Fact]
    public void Lengths_whose_bytes_cannot_be_counted_are_refused()
    {
        using var engine = new AttentionEngine("simd");
        Assert.Throws<ArgumentException>(() => engine.CreateTensor<Half>(int.MaxValue, int.MaxValue, 2));
        Assert.Throws<AttentionMemoryException>(() => engine.CreateTensor<bool>(1 << 28, 1 << 28));
        Assert.Throws<ArgumentException>(() => engine.CreateTensor<bool>(0, int.MaxValue, int.MaxValue, int.MaxValue));
    }
}
