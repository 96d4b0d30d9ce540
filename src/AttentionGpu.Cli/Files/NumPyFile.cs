using System.Buffers.Binary;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using System.Text.RegularExpressions;
using AttentionGpu.Serialization;
using AttentionGpu.Tensors;

namespace AttentionGpu.Cli.Files;

/// <summary>
/// Reads <c>.npy</c> files: one array of booleans, whole numbers or floats, in either order of bytes and of axes. Writes arrays of float32.
/// </summary>
internal static partial class NumPyFile
{
    private const int PreambleBytes = 8;
    private const int Alignment = 64;
    private const int MostHeaderBytes = 1 << 20;

    private static readonly byte[] _mark = [0x93, .. "NUMPY"u8];

    /// <summary>Reads an array as float32; numbers that float32 does not have are rounded. One without axes has the shape [1].</summary>
    /// <exception cref="InvalidDataException">It is malformed, cut off, or of another element type.</exception>
    public static Tensor<float> Read(string path) => Open(path, stream => Read(stream, path, type => type.ToSingle));

    /// <summary>Reads an array of whole numbers or booleans, 0 and 1. One without axes has the shape [1].</summary>
    /// <param name="path">The file.</param>
    /// <param name="kinds">The element types that are read, such as <c>i4</c>.</param>
    /// <param name="names">The same, for messages.</param>
    /// <exception cref="InvalidDataException">It is malformed, cut off, or of another element type.</exception>
    public static Tensor<long> ReadWhole(string path, string[] kinds, string names) => Open(
        path,
        stream => Read(
            stream,
            path,
            type => kinds.Contains(type.Kind)
                ? type.ToWhole!
                : throw Error(path, $"its elements are of the type '{type.Name}'; {names} is needed")));

    /// <summary>Writes an array of float32, in the order of its axes.</summary>
    public static void Write(Stream stream, Tensor<float> tensor)
    {
        // Behind version 1.0 come two bytes of length and the header, padded so that the elements start at a multiple of 64.
        string shape = string.Join(", ", tensor.Lengths.ToArray()) + (tensor.Rank == 1 ? "," : "");
        string header = $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}";
        int padded = (PreambleBytes + sizeof(ushort) + header.Length + 1 + (Alignment - 1)) / Alignment * Alignment;
        int length = padded - PreambleBytes - sizeof(ushort);
        stream.Write([.. _mark, 1, 0, (byte)length, (byte)(length >> 8), .. Encoding.ASCII.GetBytes(header.PadRight(length - 1) + '\n')]);
        HostCopy.Write<float>(stream, tensor);
    }

    private static T Open<T>(string path, Func<FileStream, T> read)
    {
        if (Directory.Exists(path))
            throw new InvalidDataException($"'{path}' is a folder; a NumPy array (.npy) is needed.");
        using FileStream stream = File.OpenRead(path);
        try
        {
            return read(stream);
        }
        catch (EndOfStreamException exception)
        {
            throw Error(path, "it ends inside its header", exception);
        }
    }

    private static Tensor<T> Read<T>(FileStream stream, string path, Func<NumPyType, NumPyType.Converter<T>> converter)
    {
        Span<byte> preamble = stackalloc byte[PreambleBytes];
        int count = stream.ReadAtLeast(preamble, PreambleBytes, throwOnEndOfStream: false);
        if (count < PreambleBytes || !preamble.StartsWith(_mark))
        {
            stream.Position = 0;
            throw Error(path, FileKind.Describe(stream) is string kind ? $"it is {kind}" : "it does not start with the mark of one");
        }

        if (preamble[6] is < 1 or > 3)
            throw Error(path, $"it has version {preamble[6]}.{preamble[7]} of the format; 1 to 3 are read");
        Span<byte> length = stackalloc byte[preamble[6] == 1 ? sizeof(ushort) : sizeof(uint)];
        stream.ReadExactly(length);
        long headerBytes = length.Length == sizeof(ushort)
            ? BinaryPrimitives.ReadUInt16LittleEndian(length)
            : BinaryPrimitives.ReadUInt32LittleEndian(length);
        if (headerBytes > MostHeaderBytes)
            throw Error(path, $"its header claims {headerBytes} bytes; at most {MostHeaderBytes} are read");
        if (headerBytes > stream.Length - stream.Position)
            throw Error(path, $"its header claims {headerBytes} bytes; the file has {stream.Length - stream.Position} after the length");
        var bytes = new byte[headerBytes];
        stream.ReadExactly(bytes);
        string header = preamble[6] == 3 ? Encoding.UTF8.GetString(bytes) : Encoding.Latin1.GetString(bytes);
        (NumPyType type, bool isFortran, nint[] lengths) = Parse(header, path);
        return ReadArray(stream, path, type, converter(type), isFortran, lengths);
    }

    private static Tensor<T> ReadArray<T>(
        FileStream stream, string path, NumPyType type, NumPyType.Converter<T> convert, bool isFortran, nint[] lengths)
    {
        string shape = $"[{string.Join(", ", lengths)}]";
        long elements = 1;

        // One without elements has strides, and they overflow if its other lengths do.
        foreach (nint length in lengths.Where(length => length != 0))
        {
            if (elements > Array.MaxLength / length)
                throw Error(path, $"its shape {shape} has more than {Array.MaxLength} elements");
            elements *= length;
        }

        elements = lengths.Contains(0) ? 0 : elements;
        long expected = elements * type.Size;
        long there = stream.Length - stream.Position;
        if (there != expected)
            throw Error(path, $"its shape {shape} and type '{type.Name}' need {expected} bytes; {there} follow the header");
        var values = new T[elements];
        type.Read(stream, convert, values);
        if (isFortran && lengths.Length > 1)
            values = FromFortran(values, lengths);
        return Tensor.Create(values, lengths.Length == 0 ? [1] : lengths);
    }

    private static (NumPyType Type, bool IsFortran, nint[] Lengths) Parse(string header, string path)
    {
        Match description = Description().Match(header);
        Match order = Order().Match(header);
        Match shape = Shape().Match(header);
        if (!description.Success || !order.Success || !shape.Success)
            throw Error(path, $"its header lacks 'descr', 'fortran_order' or 'shape': {header.Trim()}");
        string name = description.Groups["name"].Value;
        if (description.Groups["fields"].Success)
            throw Error(path, "its elements are records of several fields; arrays of numbers are read");
        NumPyType type = NumPyType.Parse(name)
            ?? throw Error(
                path,
                $"its elements are {NumPyType.Describe(name)} ('{name}'); booleans, whole numbers and floats of 2, 4 and 8 bytes are read");
        string[] parts = shape.Groups["lengths"].Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var lengths = new nint[parts.Length];
        for (int axis = 0; axis < lengths.Length; axis++)
        {
            // Python 2 wrote 3L.
            if (!nint.TryParse(parts[axis].TrimEnd('L'), NumberStyles.None, CultureInfo.InvariantCulture, out lengths[axis]))
                throw Error(path, $"its shape is ({shape.Groups["lengths"].Value})");
        }

        return (type, order.Groups["value"].Value == "True", lengths);
    }

    // The first axis is that of neighbours.
    private static T[] FromFortran<T>(T[] values, nint[] lengths)
    {
        var ordered = new T[values.Length];
        var strides = new nint[lengths.Length];
        strides[0] = 1;
        for (int axis = 1; axis < lengths.Length; axis++)
            strides[axis] = strides[axis - 1] * lengths[axis - 1];
        var index = new nint[lengths.Length];
        nint source = 0;
        for (int target = 0; target < ordered.Length; target++)
        {
            ordered[target] = values[source];
            for (int axis = lengths.Length - 1; axis >= 0; axis--)
            {
                source += strides[axis];
                if (++index[axis] < lengths[axis])
                    break;
                source -= strides[axis] * lengths[axis];
                index[axis] = 0;
            }
        }

        return ordered;
    }

    private static InvalidDataException Error(string path, string what, Exception? inner = null) =>
        new($"'{path}' cannot be read as a NumPy array: {what}.", inner);

    [GeneratedRegex("""['"]descr['"]\s*:\s*(?:['"](?<name>[^'"]*)['"]|(?<fields>[\[(]))""", RegexOptions.ExplicitCapture)]
    private static partial Regex Description();

    [GeneratedRegex("""['"]fortran_order['"]\s*:\s*(?<value>True|False)""", RegexOptions.ExplicitCapture)]
    private static partial Regex Order();

    [GeneratedRegex("""['"]shape['"]\s*:\s*\((?<lengths>[^)]*)\)""", RegexOptions.ExplicitCapture)]
    private static partial Regex Shape();
}
