using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>
/// A small checkpoint as the Hub has it: the members of a published <c>config.json</c>, and tensors under the published names.
/// </summary>
internal sealed class HubCheckpoint(string config, Random random)
{
    private readonly Dictionary<string, (string Type, int[] Lengths, byte[] Bytes)> _tensors = [];

    public JsonObject Config { get; } = JsonNode.Parse(config)!.AsObject();

    /// <summary>The member of the configuration; of a part of it where the name has dots.</summary>
    public JsonNode? Member(string name) => name.Split('.').Aggregate((JsonNode?)Config, (node, part) => node?[part]);

    /// <summary>Gives members of the configuration, and takes some away.</summary>
    public HubCheckpoint Change(string members, string[] without)
    {
        foreach ((string name, JsonNode? node) in JsonNode.Parse($"{{ {members} }}")!.AsObject())
            Config[name] = node?.DeepClone();
        foreach (string name in without)
            Assert.True(Config.Remove(name), name);
        return this;
    }

    public int Int(string name) => Member(name)!.GetValue<int>();

    public double Number(string name) => Member(name)!.GetValue<double>();

    public bool Flag(string name) => Member(name)!.GetValue<bool>();

    /// <summary>Whether the member is there and not null.</summary>
    public bool Has(string name) => Member(name) is not null;

    /// <summary>A matrix as <c>torch.nn.Linear</c> stores it, [rows, columns]; scores of rows that it makes have a spread near 1.</summary>
    public HubCheckpoint AddMatrix(string name, int rows, int columns) => Add(name, Math.Sqrt(8.0 / columns), 0.0, rows, columns);

    public HubCheckpoint AddVector(string name, int length) => Add(name, 1.0, 0.0, length);

    /// <summary>Numbers around <paramref name="middle"/>: the weights of a norm.</summary>
    public HubCheckpoint AddNorm(string name, int length, double middle = 1.0) => Add(name, 0.5, middle, length);

    /// <summary>A matrix <c>NAME.weight</c>, and where it has one a <c>NAME.bias</c>.</summary>
    public HubCheckpoint AddLinear(string name, int rows, int columns, bool bias)
    {
        AddMatrix(name + ".weight", rows, columns);
        return bias ? AddVector(name + ".bias", rows) : this;
    }

    /// <summary>The lower triangle that old versions of a model stored, of type F32, BOOL or U8: [1, 1, length, length].</summary>
    public HubCheckpoint AddTriangle(string name, string type, int length)
    {
        byte[] cells = [.. Enumerable.Range(0, length * length).Select(i => i % length <= i / length ? (byte)1 : (byte)0)];
        return AddBytes(name, type, type == "F32" ? Bytes([.. cells.Select(cell => (float)cell)]) : cells, 1, 1, length, length);
    }

    public HubCheckpoint AddFloats(string name, float[] values, params int[] lengths) => AddBytes(name, "F32", Bytes(values), lengths);

    /// <summary>The buffer <c>position_ids</c> of old checkpoints: [1, length].</summary>
    public HubCheckpoint AddPositions(string name, int length) => AddBytes(
        name, "I64", MemoryMarshal.AsBytes(Enumerable.Range(0, length).Select(i => (long)i).ToArray().AsSpan()).ToArray(), 1, length);

    /// <summary>The rows of a matrix.</summary>
    public double[][] Matrix(string name)
    {
        (_, int[] lengths, byte[] bytes) = _tensors[name];
        double[] values = [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Select(value => (double)value)];
        return [.. values.Chunk(lengths[^1])];
    }

    public double[] Vector(string name) => Assert.Single(Matrix(name));

    public double[]? Bias(string name) => _tensors.ContainsKey(name + ".bias") ? Vector(name + ".bias") : null;

    /// <summary>Writes the configuration and <c>model.safetensors</c>.</summary>
    public void Write(string folder, string configuration = "config.json")
    {
        File.WriteAllText(Path.Combine(folder, configuration), Config.ToJsonString());
        var header = new JsonObject { ["__metadata__"] = new JsonObject { ["format"] = "pt" } };
        long offset = 0;
        foreach ((string name, (string type, int[] lengths, byte[] bytes)) in _tensors)
        {
            header[name] = new JsonObject
            {
                ["dtype"] = type,
                ["shape"] = new JsonArray([.. lengths.Select(length => (JsonNode)length)]),
                ["data_offsets"] = new JsonArray(offset, offset + bytes.Length),
            };
            offset += bytes.Length;
        }

        byte[] text = Encoding.UTF8.GetBytes(header.ToJsonString());
        using FileStream file = File.Create(Path.Combine(folder, "model.safetensors"));
        using var writer = new BinaryWriter(file);
        writer.Write((long)text.Length);
        writer.Write(text);
        foreach ((_, _, byte[] bytes) in _tensors.Values)
            writer.Write(bytes);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Config["model_type"]} of {_tensors.Count} tensors");

    private static byte[] Bytes(float[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();

    private HubCheckpoint Add(string name, double spread, double middle, params int[] lengths)
    {
        int count = lengths.Aggregate(1, (product, length) => product * length);
        float[] values = [.. Enumerable.Range(0, count).Select(_ => (float)(middle + spread * (2.0 * random.NextDouble() - 1.0)))];
        return AddFloats(name, values, lengths);
    }

    private HubCheckpoint AddBytes(string name, string type, byte[] bytes, params int[] lengths)
    {
        _tensors.Add(name, (type, lengths, bytes));
        return this;
    }
}
