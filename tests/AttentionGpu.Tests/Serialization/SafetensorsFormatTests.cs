using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Text;
using System.Text.Json;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Serialization;

/// <summary>The format, byte by byte: how files are written, and the borders of the rules by which they are read.</summary>
public class SafetensorsFormatTests
{
    // The limit of the format's own implementation.
    private const int MaxHeaderBytes = 100_000_000;

    /// <summary>The names of element types, and the bytes of an element.</summary>
    public static TheoryData<string, int> Types => new()
    {
        { "BOOL", 1 }, { "U8", 1 }, { "I8", 1 }, { "F8_E5M2", 1 }, { "F8_E4M3", 1 },
        { "I16", 2 }, { "U16", 2 }, { "F16", 2 }, { "BF16", 2 },
        { "I32", 4 }, { "U32", 4 }, { "F32", 4 },
        { "F64", 8 }, { "I64", 8 }, { "U64", 8 },
    };

    [Fact]
    public void A_file_is_written_in_the_order_of_its_names()
    {
        byte[] file = Written(new Dictionary<string, Tensor<float>>
        {
            ["b"] = Tensor.Create([1f, 2f, 3f, 4f, 5f, 6f], [2, 3]),
            ["ab"] = Tensor.CreateFromShape<float>([4, 0]),
            ["Z"] = Tensor.Create([-1f], [1]),
            ["a"] = Tensor.Create([0.5f, 0.25f], [1, 2, 1]),
        });
        int headerBytes = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        Assert.Equal(
            """
            {"Z":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "a":{"dtype":"F32","shape":[1,2,1],"data_offsets":[4,12]},
            "ab":{"dtype":"F32","shape":[4,0],"data_offsets":[12,12]},
            "b":{"dtype":"F32","shape":[2,3],"data_offsets":[12,36]}}
            """.ReplaceLineEndings(""),
            Encoding.UTF8.GetString(file.AsSpan(8, headerBytes)).TrimEnd(' '));
        Assert.Equal(8 + headerBytes + 36, file.Length);
        float[] values =
            [.. Enumerable.Range(0, 9).Select(i => BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(8 + headerBytes + 4 * i)))];
        Assert.Equal([-1f, 0.5f, 0.25f, 1f, 2f, 3f, 4f, 5f, 6f], values);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Data_starts_at_a_multiple_of_8_bytes_behind_fewer_than_8_spaces(int nameLength)
    {
        byte[] file = Written(new Dictionary<string, Tensor<float>> { [new string('x', nameLength)] = Tensor.Create([1.5f], [1]) });
        int headerBytes = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        Assert.Equal(0, headerBytes % 8);
        Assert.Equal(8 + headerBytes + sizeof(float), file.Length);
        Assert.Equal(1.5f, BinaryPrimitives.ReadSingleLittleEndian(file.AsSpan(8 + headerBytes)));
        string header = Encoding.UTF8.GetString(file.AsSpan(8, headerBytes));
        Assert.StartsWith("{", header, StringComparison.Ordinal);
        string json = header.TrimEnd(' ');
        Assert.InRange(header.Length - json.Length, 0, 7);
        Assert.Equal('}', json[^1]);
        JsonDocument.Parse(json).Dispose();
    }

    [Fact]
    public void A_file_without_tensors_is_written_and_read()
    {
        byte[] bytes = Written([]);
        Assert.Equal([8, 0, 0, 0, 0, 0, 0, 0, .. "{}      "u8], bytes);
        using SafetensorsFile file = Read(bytes);
        Assert.Empty(file.Entries);
        Assert.Contains("It has: nothing", Assert.Throws<InvalidDataException>(() => file.Read("x")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void An_element_has_the_bytes_of_its_type(string type, int bytes)
    {
        using (SafetensorsFile file = Read(Header(type, [3], 0, 3 * bytes), 3 * bytes))
            Assert.Equal(type.Replace("_", "", StringComparison.Ordinal), file.Entries["x"].Type.ToString(), ignoreCase: true);
        foreach (int other in new[] { 3 * bytes - 1, 3 * bytes + 1 })
            AssertMalformed($"need {3 * bytes} bytes", Header(type, [3], 0, other), other);
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void An_element_is_read_as_what_it_is_or_refused(string type, int bytes)
    {
        using SafetensorsFile file = Read(Header(type, [2], 0, 2 * bytes), 2 * bytes);
        AssertReads(type is "F32" or "F16" or "BF16" or "F64", () => file.Read("x"));
        AssertReads(type is "F32" or "F16" or "BF16", () => file.Read("x", new float[2]));
        AssertReads(type is "F32" or "F16" or "BF16" or "F64", () => file.Read("x", new float[2], round: true));
        AssertReads(type == "BOOL", () => file.ReadBoolean("x"));
        AssertReads(type == "I64", () => file.ReadInt64("x"));

        static void AssertReads(bool reads, Action read)
        {
            if (reads)
                read();
            else
                Assert.Contains("has elements of type", Assert.Throws<InvalidDataException>(read).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_target_has_the_length_of_its_tensor()
    {
        using SafetensorsFile file = Read(Header("F32", [2, 3], 0, 24), 24);
        file.Read("x", new float[6]);
        foreach (int length in new[] { 0, 5, 7 })
            Assert.Equal("target", Assert.Throws<ArgumentException>(() => file.Read("x", new float[length])).ParamName);
    }

    [Fact]
    public void A_header_may_fill_the_file_and_not_claim_a_byte_more()
    {
        byte[] bytes = [2, 0, 0, 0, 0, 0, 0, 0, (byte)'{', (byte)'}'];
        Read(bytes).Dispose();
        bytes[0] = 3;
        AssertRefused("claims 3 bytes; the file has 2", bytes);
        AssertRefused("7 bytes, too few", bytes[..7]);

        static void AssertRefused(string rule, byte[] bytes) =>
            Assert.Contains(rule, Assert.Throws<InvalidDataException>(() => Read(bytes).Dispose()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_header_has_at_most_100_million_bytes()
    {
        using (SafetensorsFile file = SafetensorsFile.Open(new LongHeader(MaxHeaderBytes)))
            Assert.Empty(file.Entries);
        InvalidDataException exception =
            Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(new LongHeader(MaxHeaderBytes + 1)).Dispose());
        Assert.Contains("claims 100000001 bytes", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_may_stand_in_any_order_and_be_empty_where_others_meet()
    {
        using SafetensorsFile file = Read(
            """
            {"last":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"__metadata__":{"format":"pt","n":[1,{"a":2}]},
             "none":{"dtype":"F32","shape":[0,3],"data_offsets":[8,8]},"first":{"dtype":"F64","shape":[],"data_offsets":[0,8]},
             "end":{"dtype":"I64","shape":[2,0],"data_offsets":[12,12]}}
            """,
            12);
        Assert.Equal(["end", "first", "last", "none"], file.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.Equal([0, 3], file.Read("none").Lengths.ToArray());
        Assert.Equal([1], file.Read("first").Lengths.ToArray());
        Assert.Empty(file.ReadInt64("end"));
    }

    [Theory]
    [InlineData("it has its metadata twice", """{"__metadata__":{},"__metadata__":{}}""", 0)]
    [InlineData(
        "it has the tensor 'x' twice",
        """{"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}""", 0)]
    [InlineData("has its shape twice", """{"x":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}""", 4)]
    [InlineData("has its data_offsets twice", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"data_offsets":[0,4]}}""", 4)]
    [InlineData("has its dtype twice", """{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4)]
    [InlineData("two data_offsets", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4]}}""", 4)]
    [InlineData("must be an object", """{"x":[1]}""", 0)]
    [InlineData("arrays as shape", """{"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}""", 4)]
    [InlineData("no whole number", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}""", 0)]
    [InlineData("starts at 4 where 0 is due", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8)]
    [InlineData(
        "starts at 3 where 4 is due",
        """{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}""", 4)]
    [InlineData(
        "starts at 5 where 4 is due",
        """{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"y":{"dtype":"U8","shape":[1],"data_offsets":[5,6]}}""", 6)]
    [InlineData("take 4 bytes but 3 follow", """{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 3)]
    [InlineData("take 4 bytes but 5 follow", """{"x":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 5)]
    [InlineData("take 0 bytes but 1 follow", "{}", 1)]
    [InlineData(
        "the shape of 'x' overflows: it is [4294967296, 2147483648] of U8",
        """{"x":{"dtype":"U8","shape":[4294967296,2147483648],"data_offsets":[0,0]}}""", 0)]
    [InlineData("the shape of 'x' overflows", """{"x":{"dtype":"F32","shape":[4294967296,536870912],"data_offsets":[0,0]}}""", 0)]
    [InlineData(
        "the shape of 'x' overflows: it is [0, 4611686018427387904, 4611686018427387904] of F32",
        """{"x":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}""", 0)]
    public void A_broken_rule_is_named(string rule, string header, int dataBytes) => AssertMalformed(rule, header, dataBytes);

    [Fact]
    public void The_bytes_of_a_tensor_without_elements_may_be_the_largest_number()
    {
        using SafetensorsFile file = Read(Header("U8", [0, long.MaxValue], 0, 0), 0);
        Assert.Equal([0, nint.MaxValue], file.Entries["x"].Lengths);
        AssertMalformed("overflows", Header("U8", [long.MaxValue, 2], 0, 0), 0);
    }

    /// <summary>Types that are not read, and bytes of two elements.</summary>
    public static TheoryData<string, int> OtherTypes => new()
    {
        { "F8_E8M0", 2 }, { "F4", 1 }, { "F6_E2M3", 2 }, { "F6_E3M2", 2 }, { "F8_E4M3FNUZ", 2 },
        { "F8_E5M2FNUZ", 2 }, { "C64", 16 }, { "X1", 999 },
    };

    [Theory]
    [MemberData(nameof(OtherTypes))]
    public void A_tensor_of_a_type_that_is_not_read_matters_only_to_who_asks_for_it(string type, int bytes)
    {
        string header =
            $$$"""
            {"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
             "scale":{"dtype":"{{{type}}}","shape":[2],"data_offsets":[4,{{{4 + bytes}}}]}}
            """;
        using SafetensorsFile file = Read(header, 4 + bytes);
        Assert.Equal([0f], Data.Flat(file.Read("x")));
        Assert.Equal((SafetensorsType.Other, type), (file.Entries["scale"].Type, file.Entries["scale"].TypeName));
        Assert.Equal("F32", file.Entries["x"].TypeName);
        foreach (Action read in new Action[]
        {
            () => file.Read("scale"), () => file.Read<Half>("scale"), () => file.Read("scale", new float[2], round: true),
            () => file.ReadBoolean("scale"), () => file.ReadInt64("scale"),
        })
        {
            string message = Assert.Throws<InvalidDataException>(read).Message;
            Assert.Contains($"'scale' in '(stream)' has elements of type {type}", message, StringComparison.Ordinal);
        }

        Assert.EndsWith(
            "; F32, F16, BF16 or F64 can be read as Single.", Assert.Throws<InvalidDataException>(() => file.Read("scale")).Message,
            StringComparison.Ordinal);
        AssertMalformed("take", header, 3 + bytes);
        AssertMalformed("which end before they start", Header(type, [1], 4, 0), 4);
        AssertMalformed("need 0 bytes", Header(type, [0, 2], 0, 4), 4);
        AssertMalformed(
            $"overflows: it is [4611686018427387904, 4] of {type}", Header(type, [4611686018427387904, 4], 0, 4), 4);
    }

    [Fact]
    public void A_tensor_without_elements_is_read_however_long_its_other_axes_are()
    {
        using SafetensorsFile file = Read(Header("BOOL", [0, 1L << 62], 0, 0), 0);
        Assert.Equal([0, 1L << 62], file.ReadBoolean("x").Lengths.ToArray().Select(length => (long)length));
        AssertMalformed("overflows", Header("BOOL", [0, 1L << 62, 2], 0, 0), 0);
    }

    [Fact]
    public void Messages_list_twenty_names_and_count_the_others()
    {
        foreach ((int tensors, string end) in new[] { (20, "t19."), (21, "t19 and 1 more.") })
        {
            byte[] bytes = Written(Enumerable.Range(0, tensors).ToDictionary(i => $"t{i:D2}", _ => Tensor.CreateFromShape<float>([0])));
            using SafetensorsFile file = Read(bytes);
            string message = Assert.Throws<InvalidDataException>(() => file.Read("x")).Message;
            Assert.EndsWith(end, message, StringComparison.Ordinal);
        }
    }

    private static byte[] Written(Dictionary<string, Tensor<float>> tensors)
    {
        using var stream = new MemoryStream();
        SafetensorsFile.Write(stream, tensors);
        return stream.ToArray();
    }

    private static void AssertMalformed(string rule, string header, int dataBytes)
    {
        string message = Assert.Throws<InvalidDataException>(() => Read(header, dataBytes).Dispose()).Message;
        Assert.StartsWith("The safetensors file is malformed", message, StringComparison.Ordinal);
        Assert.Contains(rule, message, StringComparison.Ordinal);
    }

    private static string Header(string type, long[] shape, long start, long end) =>
        $$$"""{"x":{"dtype":"{{{type}}}","shape":[{{{string.Join(',', shape)}}}],"data_offsets":[{{{start}}},{{{end}}}]}}""";

    private static SafetensorsFile Read(string header, int dataBytes)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        return Read([.. length, .. json, .. new byte[dataBytes]]);
    }

    private static SafetensorsFile Read(byte[] bytes) => SafetensorsFile.Open(new MemoryStream(bytes));

    /// <summary>A file whose header is an empty object and spaces, which nobody stores.</summary>
    private sealed class LongHeader : Stream
    {
        private readonly byte[] _start = new byte[10];

        public LongHeader(int headerBytes)
        {
            BinaryPrimitives.WriteInt64LittleEndian(_start, headerBytes);
            "{}"u8.CopyTo(_start.AsSpan(8));
            Length = 8 + headerBytes;
        }

        public override bool CanRead => true;

        public override bool CanSeek => true;

        public override bool CanWrite => false;

        public override long Length { get; }

        public override long Position { get; set; }

        public override int Read(Span<byte> buffer)
        {
            int count = (int)Math.Min(buffer.Length, Length - Position);
            buffer[..count].Fill((byte)' ');
            if (Position < _start.Length)
                _start.AsSpan((int)Position, Math.Min(count, _start.Length - (int)Position)).CopyTo(buffer);
            Position += count;
            return count;
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
