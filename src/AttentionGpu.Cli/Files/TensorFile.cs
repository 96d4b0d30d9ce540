using System.Numerics.Tensors;
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

    /// <summary>Writes tensors to a safetensors file, or the single one to a NumPy file.</summary>
    /// <exception cref="OutputException">The file cannot be written; one that was there is as before.</exception>
    public static void Write(string path, IReadOnlyDictionary<string, Tensor<float>> tensors) => OutputFile.Write(path, stream =>
    {
        if (IsNumPy(path))
            NumPyFile.Write(stream, tensors.Single().Value);
        else
            SafetensorsFile.Write(stream, tensors);
    });
}
