using System.Text;
using System.Text.Json;

namespace AttentionGpu.Serialization;

/// <summary>Tells files of other kinds, which are often given in the place of a safetensors file, by their first bytes.</summary>
internal static class FileKind
{
    /// <summary>A kind.</summary>
    public const string Onnx = "an ONNX model";

    private const int StartBytes = 64;

    // An index has a line for each tensor of a model.
    private const int MostJsonBytes = 100_000_000;

    // Files that an index names, in a message.
    private const int ShownFiles = 3;

    private static readonly (byte[] Start, string Kind)[] _marks =
    [
        ([.. "GGUF"u8], "a GGUF model"),
        ([.. "version https://git-lfs"u8], "a Git LFS pointer to the file, which 'git lfs pull' fetches"),
        ([.. "PK\x03\x04"u8], "a zip archive, as PyTorch's .bin and .pt files are"),
        ([0x80, 2], "a Python pickle, as old .bin and .pt files are"),
        ([0x80, 3], "a Python pickle"),
        ([0x80, 4], "a Python pickle"),
        ([0x80, 5], "a Python pickle"),
        ([0x89, .. "HDF"u8], "an HDF5 file"),
        ([0x93, .. "NUMPY"u8], "a NumPy array"),
        ([0x1F, 0x8B], "compressed by gzip"),
        ([.. "<!DOCTYPE"u8], "a page of HTML"),
        ([.. "<html"u8], "a page of HTML"),
    ];

    // Protocol buffers have no mark. A model starts with its version of the format (field 1, a small number), behind which comes one of the
    // fields 2 to 8, all strings or messages but the sixth, 5.
    private static readonly byte[] _onnxFields = [0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42];

    /// <summary>The kind of a file that is no safetensors file, from its position on; null where it cannot be told.</summary>
    public static string? Describe(Stream stream)
    {
        long origin = stream.Position;
        Span<byte> buffer = stackalloc byte[StartBytes];
        ReadOnlySpan<byte> start = buffer[..stream.ReadAtLeast(buffer, StartBytes, throwOnEndOfStream: false)];
        if (start.IsEmpty)
            return "empty";
        if (IsLengthOfHeader(start))
            return null;
        foreach ((byte[] mark, string kind) in _marks)
        {
            if (start.StartsWith(mark))
                return kind;
        }

        if (start.Length > 2 && start[0] == 0x08 && start[1] is > 0 and < 0x20 && _onnxFields.Contains(start[2]))
            return Onnx;
        stream.Position = origin;
        return Encoding.UTF8.GetString(start).TrimStart('\uFEFF', ' ', '\t', '\r', '\n').StartsWith('{') ? DescribeJson(stream) : null;
    }

    // A length of 32 bits and the start of a header: a safetensors file with a fault further on, whatever mark the length looks like.
    private static bool IsLengthOfHeader(ReadOnlySpan<byte> start) =>
        start.Length > sizeof(ulong) && start[sizeof(uint)..sizeof(ulong)].IndexOfAnyExcept((byte)0) < 0 && start[sizeof(ulong)] == '{';

    // Null where it is no JSON after all.
    private static string? DescribeJson(Stream stream)
    {
        if (stream.Length - stream.Position > MostJsonBytes)
            return null;
        try
        {
            using var document = StrictJson.Parse(stream);
            if (!document.RootElement.TryGetProperty("weight_map", out JsonElement map) || map.ValueKind != JsonValueKind.Object)
                return "JSON text";
            string[] files =
            [
                .. map.EnumerateObject().Where(tensor => tensor.Value.ValueKind == JsonValueKind.String)
                    .Select(tensor => tensor.Value.GetString()!).Distinct(StringComparer.Ordinal),
            ];
            string names = string.Join(", ", files.Take(ShownFiles).Select(file => $"'{Excerpt.Of(file)}'"));
            string more = files.Length > ShownFiles ? $" and {files.Length - ShownFiles} more" : "";
            return $"the index of a checkpoint of several files; give the one that holds the layer ({names}{more})";
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
