using System.Text;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Serialization;

/// <summary>Files that are given in the place of a safetensors file: the message says what they are.</summary>
public sealed class FileKindTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    /// <summary>The start of a file, and words of its name.</summary>
    public static TheoryData<byte[], string> Starts => new()
    {
        { [.. "GGUF"u8, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], "a GGUF model" },
        { [.. "PK\x03\x04"u8, 0, 0, 8, 8, 0, 0, 0, 0], "a zip archive, as PyTorch's .bin and .pt files are" },
        { [0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9], "a Python pickle" },
        { [0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0], "a Python pickle" },
        { [0x08, 8, 0x12, 7, .. "pytorch"u8, 0x1A, 3, .. "2.1"u8, 0x3A], "an ONNX model" },
        { [0x08, 10, 0x3A, 0x80, 0x10, 0x0A, 0x20, 0x0A, 1], "an ONNX model" },
        { [0x93, .. "NUMPY"u8, 1, 0, 118, 0], "a NumPy array" },
        { [0x89, .. "HDF\r\n"u8, 0x1A, 0x0A, 0, 0], "an HDF5 file" },
        { [], "empty" },
        {
            [.. "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"u8],
            "a Git LFS pointer to the file, which 'git lfs pull' fetches"
        },
        { [.. "<!DOCTYPE html><html></html>"u8], "a page of HTML" },
        { [.. "{\"architectures\": [\"LlamaForCausalLM\"]}"u8], "JSON text" },
        { [.. "  \n{ \"a\": 1 }"u8], "JSON text" },
        {
            [.. "{\"metadata\":{},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\",\"c\":\"2.safetensors\"}}"u8],
            "the index of a checkpoint of several files; give the one that holds the layer ('1.safetensors', '2.safetensors')"
        },
        {
            [.. "{\"weight_map\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\",\"e\":\"5\"}}"u8],
            "('1', '2', '3' and 2 more)"
        },
    };

    public void Dispose() => File.Delete(_path);

    [Theory]
    [MemberData(nameof(Starts))]
    public void A_file_of_another_kind_is_called_what_it_is(byte[] start, string kind)
    {
        File.WriteAllBytes(_path, start);
        string message = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(_path).Dispose()).Message;
        Assert.StartsWith($"'{_path}' is no safetensors file: it is ", message, StringComparison.Ordinal);
        Assert.Contains(kind, message, StringComparison.Ordinal);
        message = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(new MemoryStream(start)).Dispose()).Message;
        Assert.StartsWith("The stream is no safetensors file: it is ", message, StringComparison.Ordinal);
        message = Assert.Throws<InvalidDataException>(() => MultiHeadAttention.Load<float>(Engines.Reference, _path, heads: 1)).Message;
        Assert.Contains(kind, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stream_is_looked_at_from_where_its_file_starts()
    {
        var stream = new MemoryStream([1, 2, 3, .. "GGUF"u8, 3, 0, 0, 0, 1, 0, 0, 0]) { Position = 3 };
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(stream).Dispose());
        Assert.Contains("a GGUF model", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_is_called_a_folder() => Assert.StartsWith(
        $"'{Path.GetTempPath()}' is a folder",
        Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(Path.GetTempPath()).Dispose()).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("x{ }")]
    [InlineData("{ not JSON }")]
    [InlineData("some text or other")]
    public void What_is_not_known_is_malformed_and_named(string text)
    {
        File.WriteAllText(_path, text, Encoding.UTF8);
        string message = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(_path).Dispose()).Message;
        Assert.StartsWith($"The safetensors file '{_path}' is malformed", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x0280)]
    [InlineData(0x8B1F)]
    [InlineData(0x120808)]
    [InlineData(0x04034B50)]
    public void A_safetensors_file_with_a_fault_is_malformed_whatever_its_length_looks_like(int headerBytes)
    {
        File.WriteAllBytes(_path, [.. BitConverter.GetBytes((long)headerBytes), .. "{\"x\":1"u8]);
        string message = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(_path).Dispose()).Message;
        Assert.Contains("is malformed: its header claims", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x08)]
    [InlineData(0x80)]
    public void A_safetensors_file_may_start_with_any_length(int headerBytes)
    {
        // Its first byte is that of a pickle or of an ONNX model.
        byte[] header = Encoding.UTF8.GetBytes("{}".PadRight(headerBytes));
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream([.. BitConverter.GetBytes((long)headerBytes), .. header]));
        Assert.Empty(file.Entries);
    }
}
