using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Elements;

namespace AttentionGpu.Serialization;

/// <summary>
/// A safetensors file, open for reading. The whole header is checked when the file is opened; tensors are read when they are asked for.
/// Reads never leave the file. May be used from many threads at once.
/// </summary>
public sealed class SafetensorsFile : ITensorFile, IDisposable
{
    // The limit of the reference implementation.
    private const long MaxHeaderBytes = 100_000_000;
    private const int LengthBytes = sizeof(ulong);
    private const string StreamPath = "(stream)";

    private readonly Stream _stream;
    private readonly TensorData _data;

    private SafetensorsFile(Stream stream, string path)
    {
        _stream = stream;
        Path = path;
        var parser = new SafetensorsHeader(path == StreamPath ? null : path);
        long start = stream.Position;
        long fileLength = stream.Length - start;
        if (fileLength < LengthBytes)
            throw parser.Error($"it has {fileLength} bytes, too few for a header");
        Span<byte> lengthBytes = stackalloc byte[LengthBytes];
        var whole = new TensorData(stream, start, path, parser.Error);
        whole.ReadExactly(lengthBytes, 0);
        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(lengthBytes);
        if (headerLength > MaxHeaderBytes || (long)headerLength > fileLength - LengthBytes)
            throw parser.Error($"its header claims {headerLength} bytes; the file has {fileLength - LengthBytes} after the length");
        var header = new byte[headerLength];
        whole.ReadExactly(header, LengthBytes);
        long dataStart = LengthBytes + (long)headerLength;
        _data = new TensorData(stream, start + dataStart, path, parser.Error);
        Entries = parser.Parse(header, fileLength - dataStart);
    }

    /// <summary>The file's path; "(stream)" where it was opened from a stream.</summary>
    public string Path { get; }

    /// <summary>What the file holds, by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is malformed: truncated, a header longer than the file, or tensors that overlap, leave gaps, overflow, end elsewhere
    /// or have more than 8 axes. Or it is a file of another kind, which the message names where it is a common one, or a folder.
    /// </exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (Directory.Exists(path))
            throw new InvalidDataException($"'{path}' is a folder; a safetensors file is needed.");
        return Open(new FileStream(path, new FileStreamOptions { BufferSize = 0 }), path);
    }

    /// <summary>
    /// Opens a file that lies in a stream, from its position to its end, and checks the header. The stream belongs to the file from then
    /// on.
    /// </summary>
    /// <exception cref="ArgumentException">The stream cannot be read, or has no positions.</exception>
    /// <exception cref="InvalidDataException">As for <see cref="Open(string)"/>.</exception>
    public static SafetensorsFile Open(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!stream.CanRead || !stream.CanSeek)
            throw new ArgumentException("'stream' must be one that can be read and has positions (CanRead, CanSeek).", nameof(stream));
        return Open(stream, StreamPath);
    }

    /// <summary>
    /// Reads a tensor as float32, whatever its floating-point type is: F16 and BF16 elements keep their values, F64 elements are rounded.
    /// </summary>
    /// <param name="name">The tensor's name.</param>
    /// <returns>The tensor; a scalar has the shape [1].</returns>
    /// <exception cref="InvalidDataException">The file has no such tensor, or its elements are of another type.</exception>
    public Tensor<float> Read(string name) => Read<float>(name, round: true);

    /// <summary>
    /// Reads a tensor. Elements of the type are copied; those of another are converted where that keeps their values, or where rounding is
    /// asked for.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: F32, F16 or BF16.</typeparam>
    /// <param name="name">The tensor's name.</param>
    /// <param name="round">
    /// Whether F64, F32, F16 and BF16 elements that the type does not have are rounded, to the nearest, and of two to the even one. Without
    /// it, only F16 and BF16 are converted, and only to <see cref="float"/>.
    /// </param>
    /// <returns>The tensor; a scalar has the shape [1].</returns>
    /// <exception cref="InvalidDataException">The file has no such tensor, or its elements are of a type that is not converted.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    public Tensor<T> Read<T>(string name, bool round = false)
        where T : unmanaged => _data.Read<T>(Find(name), round);

    /// <summary>
    /// Reads a tensor's elements, in order, into the caller's memory. They are converted as in <see cref="Read{T}(string, bool)"/>.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: F32, F16 or BF16.</typeparam>
    /// <param name="name">The tensor's name.</param>
    /// <param name="target">As long as the tensor.</param>
    /// <param name="round">Whether elements that the type does not have are rounded.</param>
    /// <exception cref="ArgumentException"><paramref name="target"/> has another length.</exception>
    /// <exception cref="InvalidDataException">The file has no such tensor, or its elements are of a type that is not converted.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    public void Read<T>(string name, Span<T> target, bool round = false)
        where T : unmanaged
    {
        SafetensorsEntry entry = Find(name);
        TensorData.Require<T>(entry, round, Path);
        int count = _data.Count(entry);
        if (target.Length != count)
            throw new ArgumentException($"'target' must have {count} elements, those of '{Excerpt.Of(name)}'; it has {target.Length}.", nameof(target));
        _data.Read(entry, target);
    }

    /// <summary>Reads a tensor of BOOL elements; any byte but 0 is true. A scalar has the shape [1].</summary>
    /// <exception cref="InvalidDataException">The file has no such tensor, or its elements are of another type.</exception>
    public Tensor<bool> ReadBoolean(string name)
    {
        SafetensorsEntry entry = Find(name);
        if (entry.Type != SafetensorsType.Bool)
            throw new InvalidDataException($"The tensor '{Excerpt.Of(name)}' in '{Path}' has elements of type {Excerpt.Of(entry.TypeName)}, not BOOL.");
        byte[] bytes = _data.ReadBytes(entry);
        return Tensor.Create(Array.ConvertAll(bytes, value => value != 0), TensorData.Axes(entry));
    }

    /// <summary>Reads a tensor of I64 elements, in order.</summary>
    /// <exception cref="InvalidDataException">The file has no such tensor, or its elements are of another type.</exception>
    public long[] ReadInt64(string name)
    {
        SafetensorsEntry entry = Find(name);
        if (entry.Type != SafetensorsType.I64)
            throw new InvalidDataException($"The tensor '{Excerpt.Of(name)}' in '{Path}' has elements of type {Excerpt.Of(entry.TypeName)}, not I64.");
        var values = new long[_data.Count(entry)];
        _data.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()), entry.Start);
        return values;
    }

    /// <summary>
    /// Writes tensors to a file, which is replaced if it exists. Elements are written as they are. The tensors go to a new file in the same
    /// folder, which takes the path when it is on the disk: if that fails, the path has its old content. Links are followed, and a file
    /// keeps its permissions. A pipe or a device is written to as it is.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: F32, F16 or BF16.</typeparam>
    /// <param name="path">The file.</param>
    /// <param name="tensors">The tensors by name.</param>
    /// <exception cref="IOException">The file cannot be written, for example because the disk is full.</exception>
    /// <exception cref="UnauthorizedAccessException">The file or its folder may not be written to.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    public static void Write<T>(string path, IReadOnlyDictionary<string, Tensor<T>> tensors)
        where T : unmanaged
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(tensors);
        ElementTypes.Of<T>();
        FileReplacement.Write(path, stream => SafetensorsWriter.Write(stream, tensors));
    }

    /// <summary>Writes tensors to a stream, from its position on. Elements are written as they are.</summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: F32, F16 or BF16.</typeparam>
    /// <param name="stream">The stream.</param>
    /// <param name="tensors">The tensors by name.</param>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    public static void Write<T>(Stream stream, IReadOnlyDictionary<string, Tensor<T>> tensors)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(tensors);
        SafetensorsWriter.Write(stream, tensors);
    }

    /// <summary>
    /// The bytes of a file that precede its elements, for a caller who writes the elements without a stream of the whole file. The elements
    /// of all tensors follow, in the ordinal order of their names.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: F32, F16 or BF16.</typeparam>
    /// <param name="lengths">The length of each axis of the tensors, by name.</param>
    /// <exception cref="ArgumentException">A length is negative, or a tensor has more than 8 axes.</exception>
    /// <exception cref="OverflowException">The tensors have more bytes than a file can.</exception>
    /// <exception cref="NotSupportedException"><typeparamref name="T"/> is another type.</exception>
    public static byte[] CreateHeader<T>(IReadOnlyDictionary<string, nint[]> lengths)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(lengths);
        return SafetensorsWriter.CreateHeader<T>(lengths);
    }

    /// <inheritdoc/>
    byte[] ITensorFile.ReadBytes(string name) => ReadBytes(name);

    /// <summary>Reads a tensor's bytes as they are.</summary>
    internal byte[] ReadBytes(string name) => _data.ReadBytes(Find(name));

    /// <summary>The first names, for messages.</summary>
    internal static string Summary(IReadOnlyDictionary<string, SafetensorsEntry> entries)
    {
        const int shown = 20;
        string names = string.Join(", ", entries.Keys.Order(StringComparer.Ordinal).Take(shown).Select(Excerpt.Of));
        return entries.Count switch
        {
            0 => "nothing",
            <= shown => names,
            _ => $"{names} and {entries.Count - shown} more",
        };
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _stream.Dispose();

    private static SafetensorsFile Open(Stream stream, string path)
    {
        try
        {
            return Open(stream, path, stream.Position);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    private static SafetensorsFile Open(Stream stream, string path, long start)
    {
        try
        {
            return new SafetensorsFile(stream, path);
        }
        catch (InvalidDataException exception)
        {
            stream.Position = start;
            string? kind = FileKind.Describe(stream);
            if (kind is null)
                throw;
            throw new InvalidDataException(
                $"{(path == StreamPath ? "The stream" : $"'{path}'")} is no safetensors file: it is {kind}.", exception);
        }
    }

    private SafetensorsEntry Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return Entries.TryGetValue(name, out SafetensorsEntry? entry)
            ? entry
            : throw new InvalidDataException($"'{Path}' has no tensor '{Excerpt.Of(name)}'. It has: {Summary(Entries)}.");
    }
}
