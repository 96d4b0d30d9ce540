using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;

namespace AttentionGpu.Tests.Models;

/// <summary>Checkpoints of several files.</summary>
internal static class ShardedFolder
{
    /// <summary>Writes files, and the index that says what is in them.</summary>
    public static void Write(string folder, (string File, Dictionary<string, Tensor<float>> Tensors)[] shards)
    {
        foreach ((string file, Dictionary<string, Tensor<float>> tensors) in shards)
            SafetensorsFile.Write(Path.Combine(folder, file), tensors);
        WriteIndex(folder, shards.SelectMany(shard => shard.Tensors.Keys.Select(name => (name, shard.File))));
    }

    public static void WriteIndex(string folder, IEnumerable<(string Tensor, string File)> map)
    {
        var index = new { metadata = new { total_size = 1 }, weight_map = map.ToDictionary(pair => pair.Tensor, pair => pair.File) };
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), JsonSerializer.Serialize(index));
    }
}
