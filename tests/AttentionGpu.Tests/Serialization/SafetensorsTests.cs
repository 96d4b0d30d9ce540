using System.Buffers;
using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Text;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Serialization;

public sealed class SafetensorsTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public static TheoryData<string, string, int> Malformed => new()
    {
        { "no object", "[]", 0 },
        { "no JSON", "{\"x\":", 0 },
        { "something after the object", "{} {}", 0 },
        { "a tensor without dtype", """{"x":{"shape":[1],"data_offsets":[0,4]}}""", 4 },
        { "a tensor without shape", """{"x":{"dtype":"F32","data_offsets":[0,4]}}""", 4 },
        { "a tensor without offsets", """{"x":{"dtype":"F32","shape":[1]}}""", 4 },
        { "an empty dtype", """{"x":{"dtype":"","shape":[1],"data_offsets":[0,4]}}""", 4 },
        { "a dtype that is a number", """{"x":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}""", 4 },
        { "an unknown field", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"y":1}}""", 4 },
        { "a field twice", """{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4 },
        { "a tensor twice", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8 },
        { "a negative length", """{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4 },
        { "a length that is a fraction", """{"x":{"dtype":"F32","shape":[1.5],"data_offsets":[0,6]}}""", 6 },
        { "a length in words", """{"x":{"dtype":"F32","shape":["one"],"data_offsets":[0,4]}}""", 4 },
        { "a shape that overflows", """{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""", 0 },
        { "a shape of more bits than there are", """{"x":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}""", 4 },
        { "offsets backwards", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4 },
        { "offsets that miss the shape", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4 },
        { "three offsets", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""", 8 },
        { "offsets beyond the file", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4 },
        { "bytes that no tensor has", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5 },
        { "a gap", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8 },
        { "tensors that overlap", """{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12 },
        { "the same bytes twice", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4 },
    };

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void What_is_written_is_read()
    {
        var tensors = new Dictionary<string, Tensor<float>>
        {
            ["matrix"] = Data.Random(new Random(1), 3, 5),
            ["empty"] = Tensor.CreateFromShape<float>([0, 4]),
            ["name with \"quotes\" and ü"] = Data.Random(new Random(2), 2, 1, 2),
        };
        SafetensorsFile.Write(_path, tensors);
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        Assert.Equal(tensors.Keys.Order(), file.Entries.Keys.Order());
        foreach ((string name, Tensor<float> tensor) in tensors)
        {
            Tensor<float> read = file.Read(name);
            Assert.Equal(tensor.Lengths.ToArray(), read.Lengths.ToArray());
            Assert.Equal(Data.Flat(tensor), Data.Flat(read));
        }
    }

    [Fact]
    public void A_stream_is_written_and_read_from_its_position_on()
    {
        Tensor<float> tensor = Data.Random(new Random(1), 7, 5);
        Tensor<float> columns = tensor.Slice(NRange.All, new NRange(1, 4));
        using var stream = new MemoryStream();
        stream.Write([1, 2, 3]);
        SafetensorsFile.Write(stream, new Dictionary<string, Tensor<float>> { ["whole"] = tensor, ["part"] = columns });
        stream.Position = 3;
        using SafetensorsFile file = SafetensorsFile.Open(stream);
        Assert.Equal("(stream)", file.Path);
        Assert.Equal(Data.Flat(tensor), Data.Flat(file.Read("whole")));
        float[] part = Data.Flat(Data.Poisoned(7 * 3));
        file.Read("part", part);
        Assert.Equal(Data.Flat(columns), part);
        Assert.Contains("21", Assert.Throws<ArgumentException>(() => file.Read("part", new float[20])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_that_is_no_file_is_refused_and_closed()
    {
        var stream = new MemoryStream([1, 0, 0]);
        Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(stream).Dispose());
        Assert.False(stream.CanRead);
        Assert.Equal("stream", Assert.Throws<ArgumentException>(() => SafetensorsFile.Open(stream).Dispose()).ParamName);
    }

    [Fact]
    public async Task Threads_share_a_file()
    {
        Dictionary<string, Tensor<float>> tensors = Enumerable.Range(0, 8).ToDictionary(i => $"{i}", i => Data.Random(new Random(i), 1000 + i));
        SafetensorsFile.Write(_path, tensors);
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        await Task.WhenAll(tensors.Select(pair => Task.Run(() =>
        {
            for (int i = 0; i < 200; i++)
                Assert.Equal(Data.Flat(pair.Value), Data.Flat(file.Read(pair.Key)));
        }, TestContext.Current.CancellationToken)));
    }

    [Fact]
    public void Half_precision_and_booleans_load()
    {
        byte[] data = new byte[2 + 2 + 2 + 2 + 8 + 3];
        BinaryPrimitives.WriteHalfLittleEndian(data, (Half)1.5f);
        BinaryPrimitives.WriteHalfLittleEndian(data.AsSpan(2), Half.NegativeInfinity);
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(4), (ushort)(BitConverter.SingleToUInt32Bits(-2.5f) >> 16));
        BinaryPrimitives.WriteUInt16LittleEndian(data.AsSpan(6), 0x7FC0);
        BinaryPrimitives.WriteDoubleLittleEndian(data.AsSpan(8), 0.1);
        data[17] = 1;
        data[18] = 7;
        Write(
            """
            {"__metadata__":{"format":"pt"},
             "half":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
             "brain":{"dtype":"BF16","shape":[2],"data_offsets":[4,8]},
             "double":{"dtype":"F64","shape":[],"data_offsets":[8,16]},
             "flags":{"dtype":"BOOL","shape":[3],"data_offsets":[16,19]}}
            """,
            data);
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        Assert.Equal([1.5f, float.NegativeInfinity], Data.Flat(file.Read("half")));
        Assert.Equal([-2.5f, float.NaN], Data.Flat(file.Read("brain")));
        Assert.Equal([0.1f], Data.Flat(file.Read("double")));
        Assert.Equal([false, true, true], Data.Flat(file.ReadBoolean("flags")));
        Assert.Contains("BOOL", Assert.Throws<InvalidDataException>(() => file.Read("flags")).Message, StringComparison.Ordinal);
        Assert.Contains("F16", Assert.Throws<InvalidDataException>(() => file.ReadBoolean("half")).Message, StringComparison.Ordinal);
        Assert.Contains("brain, double, flags, half", Assert.Throws<InvalidDataException>(() => file.Read("x")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Malformed))]
    public void Malformed_headers_are_one_clear_error(string what, string header, int dataBytes)
    {
        Write(header, new byte[dataBytes]);
        Exception? exception = Record.Exception(() => SafetensorsFile.Open(_path).Dispose());
        Assert.True(
            exception is InvalidDataException { Message: string message }
                && message.StartsWith($"The safetensors file '{_path}' is malformed", StringComparison.Ordinal),
            $"{what}: {exception}");
    }

    [Theory]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 1, 0, 0 })]
    [InlineData(new byte[] { 9, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}' })]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 255, (byte)'{', (byte)'}' })]
    [InlineData(new byte[] { 255, 255, 255, 255, 255, 255, 255, 127, (byte)'{', (byte)'}' })]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0x28 })]
    public void Broken_lengths_are_one_clear_error(byte[] bytes)
    {
        File.WriteAllBytes(_path, bytes);
        Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(_path).Dispose());
    }

    [Fact]
    public void Whole_numbers_load()
    {
        byte[] data = new byte[8 + 8 + 4];
        BinaryPrimitives.WriteInt64LittleEndian(data, -3);
        BinaryPrimitives.WriteInt64LittleEndian(data.AsSpan(8), long.MaxValue);
        Write("""{"lengths":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},"x":{"dtype":"F32","shape":[1],"data_offsets":[16,20]}}""", data);
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        Assert.Equal([-3, long.MaxValue], file.ReadInt64("lengths"));
        Assert.Contains("F32", Assert.Throws<InvalidDataException>(() => file.ReadInt64("x")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_nesting_is_an_error_and_no_crash()
    {
        Write(new string('[', 100_000), []);
        Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(_path).Dispose());
    }

    [Fact]
    public void A_missing_file_is_said_to_be_missing() =>
        Assert.Throws<FileNotFoundException>(() => SafetensorsFile.Open(_path + ".missing").Dispose());

    [Fact]
    public void A_file_that_shrinks_while_open_is_an_error()
    {
        SafetensorsFile.Write(_path, new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(1), 100) });
        using SafetensorsFile file = SafetensorsFile.Open(_path);
        using (FileStream stream = File.Open(_path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            stream.SetLength(stream.Length - 50);
        Assert.Throws<InvalidDataException>(() => file.Read("x"));
    }

    private void Write(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        File.WriteAllBytes(_path, [.. length, .. json, .. data]);
    }
}
