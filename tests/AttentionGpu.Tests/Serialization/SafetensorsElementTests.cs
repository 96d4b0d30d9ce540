using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Serialization;

/// <summary>
/// Elements in a program's type: copied where the file has that type, converted where nothing is lost, and rounded only if asked for.
/// </summary>
public class SafetensorsElementTests
{
    // A tie of Half, just above it, just below it; a tie of BFloat16, just above it; beyond Half, beyond both; a subnormal of Half.
    private static readonly double[] _numbers =
    [
        1.0 + Two(-11), 1.0 + Two(-11) + Two(-40), 1.0 + Two(-11) - Two(-40), 1.0 + Two(-8), 1.0 + Two(-8) + Two(-40),
        1.0 + 3 * Two(-8) - Two(-40), -1.0 - Two(-11) - Two(-40), 65520.0, -65519.99999999, 1e39, Two(-25), Two(-25) + Two(-60), 0.1, -0.0,
        double.NaN, double.NegativeInfinity,
    ];

    [Fact]
    public void Half_tensors_come_back_as_they_were() => AssertComesBack<Half>(SafetensorsType.F16);

    [Fact]
    public void BFloat16_tensors_come_back_as_they_were() => AssertComesBack<BFloat16>(SafetensorsType.BF16);

    [Fact]
    public void Float_tensors_come_back_as_they_were() => AssertComesBack<float>(SafetensorsType.F32);

    [Fact]
    public void Types_that_attention_does_not_have_are_neither_read_nor_written()
    {
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid()}.safetensors");
        var tensors = new Dictionary<string, Tensor<double>> { ["x"] = Tensor.Create(new double[1], [1]) };
        Assert.Throws<NotSupportedException>(() => SafetensorsFile.Write(path, tensors));
        Assert.False(File.Exists(path));
        using SafetensorsFile file = OpenNumbers("F64", MemoryMarshal.AsBytes<double>(_numbers));
        Assert.Throws<NotSupportedException>(() => file.Read<double>("x", round: true));
        Assert.Throws<NotSupportedException>(() => file.Read("x", new double[_numbers.Length]));
    }

    [Theory]
    [InlineData("F32", true, false, false)]
    [InlineData("F16", true, true, false)]
    [InlineData("BF16", true, false, true)]
    [InlineData("F64", false, false, false)]
    public void Elements_are_converted_where_nothing_is_lost(string type, bool asFloat32, bool asFloat16, bool asBFloat16)
    {
        byte[] bytes = new byte[2 * Size(type)];
        bytes.AsSpan().Fill(0x3C);
        using SafetensorsFile file = OpenNumbers(type, bytes);
        AssertReads<float>(file, asFloat32);
        AssertReads<Half>(file, asFloat16);
        AssertReads<BFloat16>(file, asBFloat16);
    }

    [Fact]
    public void Sixteen_bits_keep_their_values_in_float32()
    {
        ushort[] all = [.. Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits)];
        using SafetensorsFile half = OpenNumbers("F16", MemoryMarshal.AsBytes<ushort>(all));
        Assert.Equal(all.Select(bits => (float)BitConverter.UInt16BitsToHalf(bits)), Data.Flat(half.Read<float>("x")));
        using SafetensorsFile brain = OpenNumbers("BF16", MemoryMarshal.AsBytes<ushort>(all));
        Assert.Equal(all.Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16)), Data.Flat(brain.Read<float>("x")));
    }

    [Fact]
    public void Doubles_are_rounded_once()
    {
        using SafetensorsFile file = OpenNumbers("F64", MemoryMarshal.AsBytes<double>(_numbers));
        Assert.Equal(_numbers.Select(number => (float)number), Data.Flat(file.Read<float>("x", round: true)));
        Assert.Equal(_numbers.Select(number => (Half)number), Data.Flat(file.Read<Half>("x", round: true)));
        double[] brain =
            [1.0, 1.0, 1.0, 1.0, 1.0 + Two(-7), 1.0 + Two(-7), -1.0, 65536.0, -65536.0, double.PositiveInfinity, Two(-25), Two(-25)];
        Assert.Equal(brain, Data.Flat(file.Read<BFloat16>("x", round: true)).Take(brain.Length).Select(value => (double)(float)value));
    }

    [Fact]
    public void Long_tensors_are_rounded_to_their_end()
    {
        // More than are converted at a time.
        float[] numbers = [.. Enumerable.Range(0, 10_001).Select(i => i * 0.3f)];
        using SafetensorsFile file = OpenNumbers("F32", MemoryMarshal.AsBytes<float>(numbers));
        Assert.Equal(numbers.Select(number => (Half)number), Data.Flat(file.Read<Half>("x", round: true)));
        BFloat16[] target = ElementArrays.Poisoned<BFloat16>(numbers.Length);
        file.Read("x", target, round: true);
        Assert.Equal(numbers.Select(number => (BFloat16)number), target);
    }

    private static void AssertComesBack<T>(SafetensorsType type)
        where T : unmanaged
    {
        T[] values = ElementArrays.Round<T>([.. _numbers.Select(number => (float)number)]);
        using var stream = new MemoryStream();
        SafetensorsFile.Write(stream, new Dictionary<string, Tensor<T>>
        {
            ["one"] = Tensor.Create(values[..3], [3]),
            ["two"] = Tensor.Create(values, [2, values.Length / 2]),
        });
        stream.Position = 0;
        using SafetensorsFile file = SafetensorsFile.Open(stream);
        Assert.Equal((type, type), (file.Entries["one"].Type, file.Entries["two"].Type));
        Tensor<T> two = file.Read<T>("two");
        Assert.Equal([2, values.Length / 2], two.Lengths);
        Assert.Equal(MemoryMarshal.AsBytes<T>(values), MemoryMarshal.AsBytes<T>(Data.Flat(two)));
        T[] one = ElementArrays.Poisoned<T>(3);
        file.Read("one", one);
        Assert.Equal(MemoryMarshal.AsBytes<T>(values.AsSpan(0, 3)), MemoryMarshal.AsBytes<T>(one));
    }

    private static void AssertReads<T>(SafetensorsFile file, bool exact)
        where T : unmanaged
    {
        file.Read<T>("x", round: true);
        T[] target = ElementArrays.Poisoned<T>(2);
        file.Read("x", target, round: true);
        if (exact)
        {
            Assert.Equal(target, Data.Flat(file.Read<T>("x")));
            file.Read("x", target);
            return;
        }

        string message = Assert.Throws<InvalidDataException>(() => file.Read<T>("x")).Message;
        Assert.Contains($"has elements of type {file.Entries["x"].Type};", message, StringComparison.Ordinal);
        Assert.EndsWith($"can be read as {typeof(T).Name} without rounding.", message, StringComparison.Ordinal);
        T[] untouched = ElementArrays.Poisoned<T>(2);
        Assert.Throws<InvalidDataException>(() => file.Read("x", untouched));
        Assert.All(ElementArrays.Widen(untouched), value => Assert.True(float.IsNaN(value)));
    }

    private static double Two(int exponent) => Math.ScaleB(1.0, exponent);

    private static int Size(string type) => type == "F64" ? 8 : type == "F32" ? 4 : 2;

    private static SafetensorsFile OpenNumbers(string type, ReadOnlySpan<byte> bytes)
    {
        byte[] header = Encoding.UTF8.GetBytes(
            $$$"""{"x":{"dtype":"{{{type}}}","shape":[{{{bytes.Length / Size(type)}}}],"data_offsets":[0,{{{bytes.Length}}}]}}""");
        byte[] file = new byte[sizeof(ulong) + header.Length + bytes.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, sizeof(ulong));
        bytes.CopyTo(file.AsSpan(sizeof(ulong) + header.Length));
        return SafetensorsFile.Open(new MemoryStream(file));
    }
}
