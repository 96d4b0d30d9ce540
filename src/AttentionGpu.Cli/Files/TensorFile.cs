using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Cli.Output;
using AttentionGpu.Serialization;

namespace AttentionGpu.Cli.Files;

/// <summary>Single tensors in <c>.safetensors</c> or <c>.npy</c> files.</summary>
internal static class TensorFile
{
    private const string NumPyExtension = ".npy";

    /// <summary>Whether a path means a NumPy file.</summary>
    public static bool IsNumPy(string path) => Path.GetExtension(path).Equals(NumPyExtension, StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads a tensor as float32: the one of a NumPy file, or the named one of a safetensors file.</summary>
    /// <exception cref="InvalidDataException">The file is malformed, has no such tensor, or its elements are of another type.</exception>
    public static Tensor<float> Read(string path, string name)
    {
        if (IsNumPy(path))
            return NumPyFile.Read(path);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        return file.Read(name);
    }

    /// <summary>Reads a tensor of booleans, or of bytes 0 and 1, likewise.</summary>
    /// <exception cref="InvalidDataException">
    /// The file is malformed, has no such tensor, its elements are of another type, or a byte is another number.
    /// </exception>
    public static Tensor<bool> ReadBooleans(string path, string name)
    {
        Tensor<long> numbers = ReadWhole(path, name, [SafetensorsType.Bool, SafetensorsType.U8], ["b1", "u1"], "bool or uint8");
        var flags = new bool[numbers.FlattenedLength];
        int next = 0;
        foreach (long number in numbers)
        {
            flags[next++] = number is 0 or 1
                ? number == 1
                : throw new InvalidDataException($"'{path}' has the element {number}; it must be 0 or 1.");
        }

        return Tensor.Create(flags, numbers.Lengths);
    }

    /// <summary>Reads a tensor of int32 or int64, likewise.</summary>
    /// <exception cref="InvalidDataException">
    /// The file is malformed, has no such tensor, its elements are of another type, or int32 does not have one of them.
    /// </exception>
    public static Tensor<int> ReadWholeNumbers(string path, string name)
    {
        Tensor<long> numbers = ReadWhole(path, name, [SafetensorsType.I32, SafetensorsType.I64], ["i4", "i8"], "int32 or int64");
        var values = new int[numbers.FlattenedLength];
        int next = 0;
        foreach (long number in numbers)
        {
            values[next++] = number == (int)number
                ? (int)number
                : throw new InvalidDataException($"'{path}' has the element {number}, which int32 does not have.");
        }

        return Tensor.Create(values, numbers.Lengths);
    }

    /// <summary>
    /// Writes tensors to a safetensors file in their element type, or the single one to a NumPy file in float32, which has no bfloat16.
    /// </summary>
    /// <exception cref="OutputException">The file cannot be written; one that was there is as before.</exception>
    public static void Write<T>(string path, IReadOnlyDictionary<string, Tensor<T>> tensors)
        where T : unmanaged => OutputFile.Write(path, stream =>
        {
            if (IsNumPy(path))
                NumPyFile.Write(stream, ElementConversion.ToSingle(tensors.Single().Value));
            else
                SafetensorsFile.Write(stream, tensors);
        });

    private static Tensor<long> ReadWhole(string path, string name, SafetensorsType[] types, string[] kinds, string names)
    {
        if (IsNumPy(path))
            return NumPyFile.ReadWhole(path, kinds, names);
        using SafetensorsFile file = SafetensorsFile.Open(path);
        byte[] bytes = file.ReadBytes(name);
        SafetensorsEntry entry = file.Entries[name];
        if (!types.Contains(entry.Type))
            throw new InvalidDataException($"The tensor '{name}' in '{path}' has elements of type {entry.TypeName}; {names} is needed.");
        long[] values = entry.Type switch
        {
            SafetensorsType.Bool => Array.ConvertAll(bytes, value => value == 0 ? 0L : 1L),
            SafetensorsType.U8 => Array.ConvertAll(bytes, value => (long)value),
            SafetensorsType.I32 => Array.ConvertAll(MemoryMarshal.Cast<byte, int>(bytes).ToArray(), value => (long)value),
            _ => MemoryMarshal.Cast<byte, long>(bytes).ToArray(),
        };
        return Tensor.Create(values, entry.Lengths.Count == 0 ? [1] : [.. entry.Lengths]);
    }
}
