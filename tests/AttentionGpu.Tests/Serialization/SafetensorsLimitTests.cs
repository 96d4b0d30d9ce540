using System.Numerics.Tensors;
using System.Text;
using AttentionGpu.Serialization;

namespace AttentionGpu.Tests.Serialization;

/// <summary>Limits of headers, messages about long names, headers written alone, and conversion in pieces.</summary>
public class SafetensorsLimitTests
{
    // Elements that are converted at a time.
    private const int Piece = 1 << 16;

    [Fact]
    public void A_shape_has_at_most_8_axes()
    {
        using SafetensorsFile file = Open("""{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}""", new byte[4]);
        Assert.Equal(8, file.Entries["x"].Lengths.Count);
        AssertMalformed(
            "'x' has a shape or data_offsets of more than 8 numbers",
            """{"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}""");
        AssertMalformed(
            "'x' has a shape or data_offsets of more than 2 numbers", """{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}""");
    }

    [Theory]
    [InlineData("{\"NAME\":1}")]
    [InlineData("{\"NAME\":{}}")]
    [InlineData("{\"NAME\":{\"x\":1}}")]
    [InlineData("{\"x\":{\"NAME\":1}}")]
    [InlineData("{\"x\":{\"dtype\":\"NAME\",\"shape\":[9223372036854775807,2],\"data_offsets\":[0,4]}}")]
    [InlineData("{\"NAME\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}")]
    [InlineData("{\"NAME\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}")]
    [InlineData("{\"NAME\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"NAME\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}")]
    public void Long_names_are_cut_in_messages(string header)
    {
        string name = new('n', 5000);
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(
            () => Open(header.Replace("NAME", name, StringComparison.Ordinal), new byte[4]));
        Assert.Contains($"{new string('n', 100)}…", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(new string('n', 101), refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Names_of_tensors_that_are_there_or_not_are_cut()
    {
        string name = new('n', 5000);
        using SafetensorsFile file = Open($$$"""{"{{{name}}}":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}""", new byte[4]);
        foreach (Action read in new Action[]
        {
            () => file.Read("x"), () => file.Read(name), () => file.ReadBoolean(name), () => file.ReadInt64(name), () => file.Read(name + "x"),
        })
        {
            Assert.DoesNotContain(new string('n', 101), Assert.Throws<InvalidDataException>(read).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_pair_of_UTF_16_is_not_cut_in_two()
    {
        Assert.Equal(new string('x', 99) + "…", Excerpt.Of(new string('x', 99) + "😀"));
        Assert.Equal(new string('x', 98) + "😀", Excerpt.Of(new string('x', 98) + "😀"));
        Assert.Equal(new string('x', 98) + "😀…", Excerpt.Of(new string('x', 98) + "😀y"));
    }

    [Fact]
    public void A_header_alone_is_the_start_of_the_file()
    {
        var tensors = new Dictionary<string, Tensor<Half>>
        {
            ["b"] = Tensor.CreateFromShape<Half>([2, 3]),
            ["a"] = Tensor.CreateFromShape<Half>([4, 0]),
            ["c"] = Tensor.CreateFromShape<Half>([1]),
        };
        using var written = new MemoryStream();
        SafetensorsFile.Write(written, tensors);
        byte[] header = SafetensorsFile.CreateHeader<Half>(tensors.ToDictionary(pair => pair.Key, pair => pair.Value.Lengths.ToArray()));
        Assert.Equal(written.ToArray()[..header.Length], header);
        Assert.Equal(written.Length - 2 * 7, header.Length);
    }

    [Fact]
    public void A_header_that_no_file_can_have_is_refused()
    {
        Assert.Throws<ArgumentException>(() => Header([-1, 2]));
        Assert.Throws<ArgumentException>(() => Header([1, 1, 1, 1, 1, 1, 1, 1, 1]));
        Assert.Throws<OverflowException>(() => Header([nint.MaxValue, 2]));
        Assert.Throws<NotSupportedException>(() => SafetensorsFile.CreateHeader<int>(new Dictionary<string, nint[]>()));

        static byte[] Header(nint[] lengths) => SafetensorsFile.CreateHeader<float>(new Dictionary<string, nint[]> { ["x"] = lengths });
    }

    [Theory]
    [InlineData(Piece - 1)]
    [InlineData(Piece)]
    [InlineData(Piece + 1)]
    [InlineData(2 * Piece + 5)]
    public void Elements_are_converted_in_pieces(int count)
    {
        Half[] halves = [.. Enumerable.Range(0, count).Select(i => (Half)(i % 2048))];
        using var written = new MemoryStream();
        SafetensorsFile.Write(written, new Dictionary<string, Tensor<Half>> { ["x"] = Tensor.Create(halves, [count]) });
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(written.ToArray()));
        Assert.Equal(Enumerable.Range(0, count).Select(i => (float)(i % 2048)), file.Read("x"));
    }

    private static SafetensorsFile Open(string header, byte[] data)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        return SafetensorsFile.Open(new MemoryStream([.. BitConverter.GetBytes((long)json.Length), .. json, .. data]));
    }

    private static void AssertMalformed(string message, string header) => Assert.Contains(
        message, Assert.Throws<InvalidDataException>(() => Open(header, new byte[4])).Message, StringComparison.Ordinal);
}
