using System.Text;
using AttentionGpu.Serialization.Onnx;

namespace AttentionGpu.Tests.Serialization;

/// <summary>ONNX files that are malformed, lie, or have what is not read.</summary>
public sealed class OnnxFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    private static readonly byte[] _matrix = Tensor("w", [2, 3], 1, Bytes(9, new byte[24]));

    /// <summary>Parts of the graph, and the message.</summary>
    public static TheoryData<string, byte[], string> Graphs => new()
    {
        { "a tensor twice", [.. _matrix, .. _matrix], "it has the tensor 'w' twice" },
        { "data too short", Tensor("w", [2, 3], 1, Bytes(9, new byte[20])), "has 20 bytes of data, but its shape [2, 3] of F32 needs 24" },
        { "data too long", Tensor("w", [2, 3], 10, Bytes(9, new byte[24])), "has 24 bytes of data, but its shape [2, 3] of F16 needs 12" },
        { "no data", Tensor("w", [2, 3], 1), "has 0 bytes of data" },
        { "data twice", Tensor("w", [2, 3], 1, Bytes(9, new byte[24]), Bytes(9, new byte[24])), "has its data twice" },
        { "a shape that overflows", Tensor("w", [long.MaxValue / 2, 3], 1), "overflows: it is [4611686018427387903, 3] of F32" },
        { "strides that overflow", Tensor("w", [0, long.MaxValue / 2, 3], 1), "overflows" },
        { "a negative length", Tensor("w", [-2, -3], 1, Bytes(9, new byte[24])), "has a negative length: [-2, -3]" },
        { "many axes", Tensor("w", [1, 1, 1, 1, 1, 1, 1, 1, 1], 1, Bytes(9, new byte[4])), "a tensor has more than 8 axes" },
        { "no name", Tensor("", [1], 1, Bytes(9, new byte[4])), "a tensor has no name" },
        { "a tensor that is a number", Number(5, 7), "a field has the wire type Varint where LengthDelimited is due" },
        { "a length beyond the file", [0x2A, 0xFF, 0xFF, 0x03], "a field goes over the end of its message or of the file" },
        { "a length of 2 GB", [0x2A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07], "a field goes over the end of its message or of the file" },
        { "a negative length of a field", [0x2A, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], "cannot be read: " },
        { "a text of 2 GB", [0x0A, 7, 0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 65], "cannot be read: " },
        { "a text over the end of its message", [.. Bytes(1, [0x0A, 9, 65]), .. new byte[20]], "a field goes over the end of its message" },
        { "dimensions over their end", Bytes(5, [0x0A, 1, 0xFF, 0xFF, 0x01]), "a list of numbers goes over its end" },
        { "the end of a group", [0x0C], "cannot be read: " },
        { "groups in groups", [.. Enumerable.Repeat((byte)0x1B, 100_000)], "cannot be read: " },
        { "no tag", [0], "cannot be read: " },
        { "a circle", [.. Node("Identity", ["a"], ["b"]), .. Node("Identity", ["b"], ["a"])], "uses 'a', which no node before it makes" },
        { "a node of itself", Node("Add", ["a", "a"], ["a"]), "its node 'Add' of 'a' uses 'a', which no node before it makes" },
        { "an output twice", [.. Node("Shape", [], ["a"]), .. Node("Shape", [], ["a"])], "makes 'a', which is there already" },
        { "a node that makes a tensor", [.. _matrix, .. Node("Shape", ["w"], ["w"])], "makes 'w', which is there already" },
        {
            "a name of two matrices",
            [
                .. _matrix, .. Tensor("u", [2, 3], 1, Bytes(9, new byte[24])), .. Tensor("x.bias", [3], 1, Bytes(9, new byte[12])),
                .. Bytes(11, Text(1, "i")), .. Node("Gemm", ["i", "w", "x.bias"], ["p"]), .. Node("Gemm", ["i", "u", "x.bias"], ["q"]),
            ],
            "its graph gives the name 'x.weight' to two tensors, 'w' and 'u'"
        },
        {
            "a bias other than that of its name",
            [
                .. Tensor("x.weight", [2, 3], 1, Bytes(9, new byte[24])), .. Tensor("x.bias", [3], 1, Bytes(9, new byte[12])),
                .. Tensor("y.bias", [3], 1, Bytes(9, new byte[12])), .. Bytes(11, Text(1, "i")),
                .. Node("Gemm", ["i", "x.weight", "y.bias"], ["p"]),
            ],
            "its graph gives the name 'x.bias' to two tensors"
        },
        { "a quantised model", Node("DynamicQuantizeLinear", [], ["a"]), "a quantised model (by its node 'DynamicQuantizeLinear' of 'a')" },
        {
            "a quantised model of ONNX Runtime", [.. Bytes(1, [.. Text(4, "MatMulNBits"), .. Text(2, "a"), .. Text(7, "com.microsoft")])],
            "it is a quantised model"
        },
        {
            "a graph in a node", Bytes(1, [.. Text(4, "If"), .. Bytes(5, [.. Text(1, "then_branch"), .. Bytes(6, [])])]),
            "with a graph of its own"
        },
        { "sparse initialisers", Bytes(15, []), "it has sparse initialisers, which are not read" },
    };

    public void Dispose() => File.Delete(_path);

    [Theory]
    [MemberData(nameof(Graphs))]
    public void A_faulty_graph_is_one_clear_error(string fault, byte[] graph, string message)
    {
        Assert.NotEmpty(fault);
        AssertError([.. Number(1, 8), .. Bytes(7, graph)], message);
    }

    [Fact]
    public void A_file_of_any_length_of_a_good_one_is_an_error()
    {
        byte[] good = [.. Number(1, 8), .. Bytes(7, [.. _matrix, .. Node("Identity", ["w"], ["v"])])];
        Write(good);
        OnnxFile.Open(_path).Dispose();
        for (int length = 0; length < good.Length; length++)
        {
            Write(good[..length]);
            Assert.Throws<InvalidDataException>(() => OnnxFile.Open(_path));
        }
    }

    [Fact]
    public void A_file_without_a_graph_or_with_two_is_an_error()
    {
        AssertError([.. Number(1, 8), .. Text(2, "exporter")], "it has no graph");
        AssertError([.. Number(1, 8), .. Bytes(7, _matrix), .. Bytes(7, [])], "it has two graphs");
    }

    [Theory]
    [InlineData("GGUF\x03\0\0\0", "it is a GGUF model")]
    [InlineData("PK\x03\x04\0\0\0\0", "it is a zip archive, as PyTorch's .bin and .pt files are")]
    [InlineData("", "it is empty")]
    public void A_file_of_another_kind_is_called_what_it_is(string start, string kind)
    {
        Write(Encoding.Latin1.GetBytes(start));
        string message = Assert.Throws<InvalidDataException>(() => OnnxFile.Open(_path)).Message;
        Assert.Equal($"'{_path}' is no ONNX model: {kind}.", message);
    }

    // Those of other parts of the model do no harm: the error comes where one is read.
    [Theory]
    [InlineData(4, 1, "has its elements one by one in field 4 of TensorProto")]
    [InlineData(5, 10, "has its elements one by one in field 5 of TensorProto")]
    [InlineData(14, 1, "has its elements in another file (external data)")]
    public void A_tensor_in_another_form_is_refused_when_it_is_read(int field, int type, string message)
    {
        byte[] data = field switch
        {
            4 => [0x25, 0, 0, 0x80, 0x3F],
            5 => Number(5, 0x3C00),
            _ => [.. Number(14, 1), .. Bytes(13, [.. Text(1, "location"), .. Text(2, "/etc/passwd")])],
        };
        Write([.. Number(1, 8), .. Bytes(7, Tensor("w", [1], type, data))]);
        using var file = OnnxFile.Open(_path);
        Assert.Equal([(nint)1], file.Entries["w"].Lengths);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => file.Read("w"));
        Assert.StartsWith($"The tensor 'w' in '{_path}' {message}", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Packed_numbers_are_read_as_raw_data_is()
    {
        byte[] singles = [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40];
        byte[] doubles = [0, 0, 0, 0, 0, 0, 0xF0, 0x3F];
        Write([.. Number(1, 8), .. Bytes(7, [.. Tensor("w", [2], 1, Bytes(4, singles)), .. Tensor("d", [1], 11, Bytes(10, doubles))])]);
        using var file = OnnxFile.Open(_path);
        Assert.Equal([1f, 2f], file.Read("w"));
        Assert.Equal([1f], file.Read("d"));
    }

    [Fact]
    public void Random_changes_of_bytes_are_read_or_refused()
    {
        byte[] good =
        [
            .. Number(1, 8),
            .. Bytes(7, [
                .. _matrix, .. Tensor("x.bias", [3], 1, Bytes(9, new byte[12])), .. Bytes(11, Text(1, "i")),
                .. Node("MatMul", ["i", "w"], ["p"]), .. Node("Add", ["p", "x.bias"], ["q"]),
            ]),
        ];
        var random = new Random(1);
        for (int run = 0; run < 2000; run++)
        {
            byte[] other = [.. good];
            for (int change = random.Next(1, 4); change > 0; change--)
                other[random.Next(other.Length)] = (byte)random.Next(256);
            Write(other);
            try
            {
                using var file = OnnxFile.Open(_path);
                foreach (string name in file.Entries.Keys)
                    file.Read(name);
            }
            catch (InvalidDataException)
            {
            }
        }
    }

    private void AssertError(byte[] bytes, string message)
    {
        Write(bytes);
        const long most = 4L << 20;
        long before = GC.GetAllocatedBytesForCurrentThread();
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => OnnxFile.Open(_path));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, most);
        Assert.StartsWith($"The ONNX model '{_path}' cannot be read: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', exception.Message);
    }

    private void Write(byte[] bytes) => File.WriteAllBytes(_path, bytes);

    // Protocol buffers, field by field.
    private static byte[] Tensor(string name, long[] lengths, int type, params byte[][] data) => Bytes(
        5, [.. lengths.SelectMany(length => Number(1, length)), .. Number(2, type), .. Text(8, name), .. data.SelectMany(part => part)]);

    private static byte[] Node(string type, string[] inputs, string[] outputs) =>
        Bytes(1, [.. inputs.SelectMany(name => Text(1, name)), .. outputs.SelectMany(name => Text(2, name)), .. Text(4, type)]);

    private static byte[] Text(int field, string text) => Bytes(field, Encoding.UTF8.GetBytes(text));

    private static byte[] Bytes(int field, byte[] bytes) => [.. Varint((ulong)(field << 3 | 2)), .. Varint((ulong)bytes.Length), .. bytes];

    private static byte[] Number(int field, long number) => [.. Varint((ulong)(field << 3)), .. Varint((ulong)number)];

    private static byte[] Varint(ulong number)
    {
        var bytes = new List<byte>();
        for (; number > 0x7F; number >>= 7)
            bytes.Add((byte)(number | 0x80));
        return [.. bytes, (byte)number];
    }
}
