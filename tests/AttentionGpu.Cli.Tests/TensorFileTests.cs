using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using AttentionGpu.Cli.Files;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

public sealed class TensorFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void NumPy_arrays_of_every_number_type_are_read_as_float32()
    {
        Read<float>("<f4", [1f, -2.5f, 3f, 4f, 5f, 6e30f], [1f, -2.5f, 3f, 4f, 5f, 6e30f]);
        Read<double>("<f8", [1.0, -2.5, 3.0, 4.0, 5.0, 1.0 / 3.0], [1f, -2.5f, 3f, 4f, 5f, 1f / 3f]);
        Read<Half>("<f2", [(Half)1f, (Half)(-2.5f), (Half)3f, (Half)4f, (Half)5f, Half.MaxValue], [1f, -2.5f, 3f, 4f, 5f, 65504f]);
        Read<int>("<i4", [1, -2, 3, 4, 5, int.MaxValue], [1f, -2f, 3f, 4f, 5f, 2147483648f]);
        Read<long>("<i8", [1, -2, 3, 4, 5, 1L << 40], [1f, -2f, 3f, 4f, 5f, 1099511627776f]);
        Read<short>("<i2", [1, -2, 3, 4, 5, short.MaxValue], [1f, -2f, 3f, 4f, 5f, 32767f]);
        Read<short>(">i2", [1 << 8, 2 << 8, 3 << 8, 4 << 8, 5 << 8, 1], [1f, 2f, 3f, 4f, 5f, 256f]);
        Read<byte>("|u1", [1, 2, 3, 4, 5, byte.MaxValue], [1f, 2f, 3f, 4f, 5f, 255f]);
        Read<bool>("|b1", [true, false, true, true, false, true], [1f, 0f, 1f, 1f, 0f, 1f]);

        void Read<T>(string type, T[] values, float[] expected)
            where T : unmanaged
        {
            WriteNumPy("x.npy", type, values, "(1, 2, 3)");
            Tensor<float> tensor = TensorFile.Read(_folder["x.npy"], "x");
            Assert.Equal([1, 2, 3], tensor.Lengths.ToArray());
            Assert.Equal(expected, Data.Flat(tensor));
        }
    }

    [Theory]
    [InlineData("(6,)", new[] { 6 })]
    [InlineData("(3, 2)", new[] { 3, 2 })]
    [InlineData("(1, 1, 6, 1)", new[] { 1, 1, 6, 1 })]
    public void A_NumPy_array_keeps_its_axes(string shape, int[] lengths)
    {
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f, 3f, 4f, 5f, 6f], shape);
        Assert.Equal(lengths, TensorFile.Read(_folder["x.npy"], "x").Lengths.ToArray().Select(length => (int)length));
    }

    [Fact]
    public void A_NumPy_array_in_the_order_of_Fortran_is_read_by_its_axes()
    {
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f, 3f, 4f, 5f, 6f], "(2, 3)", "True");
        Tensor<float> tensor = TensorFile.Read(_folder["x.npy"], "x");
        Assert.Equal([2, 3], tensor.Lengths.ToArray());
        Assert.Equal([1f, 3f, 5f, 2f, 4f, 6f], Data.Flat(tensor));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(70)]
    [InlineData(151)]
    public void A_NumPy_file_that_is_cut_off_is_refused(int bytes)
    {
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f, 3f, 4f, 5f, 6f], "(2, 3)");
        byte[] all = File.ReadAllBytes(_folder["x.npy"]);
        Assert.Equal(152, all.Length);
        File.WriteAllBytes(_folder["x.npy"], all[..bytes]);
        AssertRefused(bytes == 0 ? "it is empty" : "cannot be read as a NumPy array");
    }

    [Theory]
    [InlineData("<c8", "complex numbers ('<c8')")]
    [InlineData(">c16", "complex numbers ('>c16')")]
    [InlineData("<U1", "texts ('<U1')")]
    [InlineData("|S4", "texts ('|S4')")]
    [InlineData("|O", "Python objects ('|O')")]
    [InlineData("<M8[ns]", "dates ('<M8[ns]')")]
    [InlineData("<m8[s]", "spans of time ('<m8[s]')")]
    [InlineData("<V2", "bytes without a meaning, or bfloat16 ('<V2')")]
    [InlineData("<f16", "floats of another size ('<f16')")]
    [InlineData("f4", "floats of another size ('f4')")]
    [InlineData("", "of an unknown type ('')")]
    [InlineData("<x4", "of an unknown type ('<x4')")]
    public void An_element_type_that_is_not_read_is_named(string type, string name)
    {
        WriteNumPy<float>("x.npy", type, [1f, 7f], "(1, 1, 1)");
        AssertRefused($"its elements are {name}; booleans");
    }

    [Fact]
    public void A_NumPy_file_that_breaks_a_rule_is_refused_with_it()
    {
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f], "(3,)");
        AssertRefused("its shape [3] and type '<f4' need 12 bytes; 8 follow the header");
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f], "(1,)");
        AssertRefused("its shape [1] and type '<f4' need 4 bytes; 8 follow the header");
        WriteNumPy<float>("x.npy", "<f4", [1f], "(4611686018427387904, 4)");
        AssertRefused("its shape [4611686018427387904, 4] has more than");
        WriteNumPy<float>("x.npy", "<f4", [], "(0, 4611686018427387904, 4611686018427387904)");
        AssertRefused("has more than");
        WriteNumPy<float>("x.npy", "<f4", [1f], "(-1,)");
        AssertRefused("its shape is (-1,)");
        WriteNumPy<float>("x.npy", "<f4", [1f], "(1,)", "true");
        AssertRefused("'fortran_order'");
        File.WriteAllBytes(_folder["x.npy"], [.. "PK\x03\x04"u8, 1, 2, 3, 4]);
        AssertRefused("it is a zip archive");
        WriteNumPy<float>("x.npy", "<f4", [1f], "(1,)");
        byte[] all = File.ReadAllBytes(_folder["x.npy"]);
        all[6] = 4;
        File.WriteAllBytes(_folder["x.npy"], all);
        AssertRefused("it has version 4.0 of the format");
        File.WriteAllBytes(_folder["x.npy"], [0x93, .. "NUMPY"u8, 2, 0, 255, 255, 255, 255, .. all]);
        AssertRefused("its header claims 4294967295 bytes; at most");
        string record = "{'descr': [('a', '<f4'), ('b', '<f4')], 'fortran_order': False, 'shape': (1,), }";
        File.WriteAllBytes(
            _folder["x.npy"], [0x93, .. "NUMPY"u8, 1, 0, (byte)record.Length, 0, .. Encoding.ASCII.GetBytes(record), .. new byte[8]]);
        AssertRefused("records of several fields");
        Directory.CreateDirectory(_folder["folder.npy"]);
        InvalidDataException folder = Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["folder.npy"], "x"));
        Assert.Contains("is a folder", folder.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public void Headers_of_the_later_versions_have_longer_lengths(int version)
    {
        string header = "{'descr': '>f8', 'fortran_order': True, 'shape': (2L, 1), }\n";
        byte[] values = [.. BitConverter.GetBytes(1.5).Reverse(), .. BitConverter.GetBytes(-2.0).Reverse()];
        File.WriteAllBytes(
            _folder["x.npy"],
            [0x93, .. "NUMPY"u8, (byte)version, 0, .. BitConverter.GetBytes(header.Length), .. Encoding.ASCII.GetBytes(header), .. values]);
        Tensor<float> tensor = TensorFile.Read(_folder["x.npy"], "x");
        Assert.Equal([2, 1], tensor.Lengths.ToArray());
        Assert.Equal([1.5f, -2f], Data.Flat(tensor));
    }

    [Fact]
    public void Arrays_of_three_axes_in_the_order_of_Fortran_and_without_axes_are_read()
    {
        // Element (i, j, k) is 100 i + 10 j + k.
        WriteNumPy("x.npy", "<f4", [0f, 100f, 10f, 110f, 20f, 120f, 1f, 101f, 11f, 111f, 21f, 121f], "(2, 3, 2)", "True");
        Assert.Equal([0f, 1f, 10f, 11f, 20f, 21f, 100f, 101f, 110f, 111f, 120f, 121f], Data.Flat(TensorFile.Read(_folder["x.npy"], "x")));
        WriteNumPy("x.npy", "<f4", [4f], "()");
        Assert.Equal([1], TensorFile.Read(_folder["x.npy"], "x").Lengths.ToArray());
        WriteNumPy<float>("x.npy", "<f4", [], "(2, 0, 3)");
        Assert.Equal([2, 0, 3], TensorFile.Read(_folder["x.npy"], "x").Lengths.ToArray());
        float[] many = [.. Enumerable.Range(0, 200_000).Select(i => (float)i)];
        WriteNumPy("x.npy", "<i4", Array.ConvertAll(many, value => (int)value), "(200000,)");
        Assert.Equal(many, Data.Flat(TensorFile.Read(_folder["x.npy"], "x")));
    }

    [Theory]

    // As numpy.save writes them: the header is padded so that elements start at a multiple of 64 bytes.
    [InlineData("(1, 2, 3)", 128, 1, 2, 3)]
    [InlineData("(6,)", 128, 6)]
    [InlineData("(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6)", 192, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6)]
    public void A_NumPy_file_is_written_as_float32_in_the_order_of_the_axes(string shape, int start, params int[] lengths)
    {
        Tensor<float> tensor = Tensor.Create([1f, 2f, 3f, 4f, 5f, 6f], [.. lengths.Select(length => (nint)length)]);
        TensorFile.Write(_folder["y.npy"], new Dictionary<string, Tensor<float>> { ["y"] = tensor });
        byte[] all = File.ReadAllBytes(_folder["y.npy"]);
        Assert.Equal([0x93, .. "NUMPY"u8, 1, 0], all[..8]);
        Assert.Equal(start, 10 + BinaryPrimitives.ReadUInt16LittleEndian(all.AsSpan(8)));
        string header = Encoding.ASCII.GetString(all[10..start]);
        Assert.Equal($"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", header.TrimEnd());
        Assert.EndsWith("\n", header, StringComparison.Ordinal);
        Assert.Equal([1f, 2f, 3f, 4f, 5f, 6f], MemoryMarshal.Cast<byte, float>(all.AsSpan(start)).ToArray());
        Assert.Equal(lengths, TensorFile.Read(_folder["y.npy"], "y").Lengths.ToArray().Select(length => (int)length));
    }

    [Theory]
    [InlineData("x.npy", true)]
    [InlineData("x.NPY", true)]
    [InlineData("x.npy.safetensors", false)]
    [InlineData("npy", false)]
    [InlineData("x.npz", false)]
    public void The_extension_says_whether_a_file_is_a_NumPy_file(string path, bool isNumPy) =>
        Assert.Equal(isNumPy, TensorFile.IsNumPy(path));

    [Fact]
    public void A_file_of_any_other_extension_is_a_safetensors_file()
    {
        Tensor<float> tensor = Tensor.Create([1f, 2f], [2]);
        TensorFile.Write(_folder["x.bin"], new Dictionary<string, Tensor<float>> { ["x"] = tensor, ["z"] = Tensor.Create([3f], [1]) });
        Assert.Equal([1f, 2f], Data.Flat(TensorFile.Read(_folder["x.bin"], "x")));
        Assert.Equal([3f], Data.Flat(TensorFile.Read(_folder["x.bin"], "z")));
        Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.bin"], "y"));
        File.Move(_folder["x.bin"], _folder["x.npy"]);
        Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.npy"], "x"));
        WriteNumPy<float>("x.bin", "<f4", [1f], "(1,)");
        Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.bin"], "x"));
    }

    [Fact]
    public void A_missing_file_stays_a_missing_file()
    {
        Assert.Throws<FileNotFoundException>(() => TensorFile.Read(_folder["none.npy"], "x"));
        Assert.Throws<FileNotFoundException>(() => TensorFile.Read(_folder["none.safetensors"], "x"));
    }

    private void AssertRefused(string rule)
    {
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.npy"], "x"));
        Assert.Contains($"'{_folder["x.npy"]}'", exception.Message, StringComparison.Ordinal);
        Assert.Contains(rule, exception.Message, StringComparison.Ordinal);
    }

    private void WriteNumPy<T>(string file, string type, T[] values, string shape, string fortranOrder = "False")
        where T : unmanaged => StoredTensor.WriteNumPy(_folder[file], type, values, shape, fortranOrder);
}
