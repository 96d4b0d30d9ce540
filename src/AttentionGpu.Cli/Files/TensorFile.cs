using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using NumSharp;

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
    public static void Write(string path, IReadOnlyDictionary<string, Tensor<float>> tensors)
    {
        if (!IsNumPy(path))
        {
            SafetensorsFile.Write(path, tensors);
            return;
        }

        Tensor<float> tensor = tensors.Single().Value;
        var values = new float[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        np.save(path, np.array(values).reshape([.. tensor.Lengths.ToArray().Select(length => (int)length)]));
    }
}
