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

    [Fact]
    public void A_NumPy_array_that_cannot_be_read_is_refused()
    {
        WriteNumPy<float>("x.npy", "<U1", [1f, 2f, 3f, 4f, 5f, 6f], "(2, 3)");
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.npy"], "x"));
        Assert.Contains(_folder["x.npy"], exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(70)]
    [InlineData(151)]
    public void A_NumPy_file_that_is_cut_off_is_refused(int bytes)
    {
        WriteNumPy<float>("x.npy", "<f4", [1f, 2f, 3f, 4f, 5f, 6f], "(2, 3)");
        byte[] all = File.ReadAllBytes(_folder["x.npy"]);
        Assert.Equal(152, all.Length);
        File.WriteAllBytes(_folder["x.npy"], all[..bytes]);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => TensorFile.Read(_folder["x.npy"], "x"));
        Assert.Contains(_folder["x.npy"], exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_NumPy_file_is_written_as_float32_in_the_order_of_the_axes()
    {
        Tensor<float> tensor = Tensor.Create([1f, 2f, 3f, 4f, 5f, 6f], [1, 2, 3]);
        TensorFile.Write(_folder["y.npy"], new Dictionary<string, Tensor<float>> { ["y"] = tensor });
        byte[] all = File.ReadAllBytes(_folder["y.npy"]);
        Assert.Equal([0x93, .. "NUMPY"u8], all[..6]);
        int start = 10 + BinaryPrimitives.ReadUInt16LittleEndian(all.AsSpan(8));
        string header = Encoding.ASCII.GetString(all[10..start]);
        Assert.Contains("'descr': '<f4'", header, StringComparison.Ordinal);
        Assert.Contains("'fortran_order': False", header, StringComparison.Ordinal);
        Assert.Matches(@"'shape': \(1, 2, 3,? ?\)", header);
        Assert.Equal([1f, 2f, 3f, 4f, 5f, 6f], MemoryMarshal.Cast<byte, float>(all.AsSpan(start)).ToArray());
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

    // Format 1.0: magic, version, the header's length, the header padded to 128 bytes in all, the elements.
    private void WriteNumPy<T>(string file, string type, T[] values, string shape, string fortranOrder = "False")
        where T : unmanaged
    {
        string header = $"{{'descr': '{type}', 'fortran_order': {fortranOrder}, 'shape': {shape}, }}".PadRight(117) + "\n";
        File.WriteAllBytes(
            _folder[file], [0x93, .. "NUMPY"u8, 1, 0, 118, 0, .. Encoding.ASCII.GetBytes(header), .. MemoryMarshal.AsBytes<T>(values)]);
    }
}
