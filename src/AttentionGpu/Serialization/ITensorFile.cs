using System.Numerics.Tensors;

namespace AttentionGpu.Serialization;

/// <summary>A file with tensors by name, which are read when they are asked for. May be used from many threads at once.</summary>
internal interface ITensorFile : IDisposable
{
    /// <summary>The file's path.</summary>
    string Path { get; }

    /// <summary>What the file holds, by name.</summary>
    IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>Reads a tensor as float32, whatever its floating-point type is; a scalar has the shape [1].</summary>
    /// <exception cref="InvalidDataException">There is no such tensor, or its elements cannot be read.</exception>
    Tensor<float> Read(string name);

    /// <summary>Reads a tensor's bytes as they are in the file.</summary>
    /// <exception cref="InvalidDataException">There is no such tensor, or its elements cannot be read.</exception>
    byte[] ReadBytes(string name);
}
