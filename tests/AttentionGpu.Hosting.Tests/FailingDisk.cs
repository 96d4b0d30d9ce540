using System.Numerics.Tensors;
using AttentionGpu.Serialization;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A folder of checkpoints that fails: files disappear, end early, or cannot be read.</summary>
internal sealed class FailingDisk : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("attention-");

    /// <summary>Writes a layer, packed as PyTorch does, to a file of its own.</summary>
    /// <returns>Its path.</returns>
    public string Write(MultiHeadAttentionWeights weights)
    {
        string path = Path.Combine(_folder.FullName, $"{Guid.NewGuid()}.safetensors");
        SafetensorsFile.Write(path, new Dictionary<string, Tensor<float>>
        {
            ["in_proj_weight"] = Tensor.Concatenate<float>([weights.Query, weights.Key, weights.Value]),
            ["in_proj_bias"] = Tensor.Concatenate<float>([weights.QueryBias!, weights.KeyBias!, weights.ValueBias!]),
            ["out_proj.weight"] = weights.Output,
            ["out_proj.bias"] = weights.OutputBias!,
        });
        return path;
    }

    /// <summary>Takes a file away, or a part of it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="how">From 0 to 1: a file is gone below 0.3, has so much of its bytes below 0.99, and is a folder otherwise.</param>
    public static void Fail(string path, double how)
    {
        if (how is >= 0.3 and < 0.99)
        {
            // Beside whoever reads it: .NET locks a file against its own streams that do not share it.
            using var file = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
            file.SetLength((long)(how * file.Length));
            return;
        }

        File.Delete(path);
        if (how >= 0.99)
            Directory.CreateDirectory(path);
    }

    /// <summary>All files are gone.</summary>
    public void Dispose() => _folder.Delete(recursive: true);
}
