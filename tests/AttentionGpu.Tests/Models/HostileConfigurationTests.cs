using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// Each member of each published <c>config.json</c> and of each mapping with a wrong value: the layer stays as it was, or there is one
/// clear error. A value of the same kind, null and
/// no member may make another layer.
/// </summary>
public sealed class HostileConfigurationTests : IDisposable
{
    private const string Mark = "@mark@";
    private const string LeftOut = "left out";

    // Of each model, in a run of all tests.
    private const int Usual = 30;

    private static readonly string[] _values =
    [
        LeftOut, "null", "true", "false", "\"x\"", "\"\\ud800\"", "\"4\"",
        "-1", "0", "1.5", "1e9", "1e30", "1e999", "1e-60", "2147483647", "[]", "[null]", "{}",
        """{"a":1}""",
    ];

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    private string Configuration => Path.Combine(_folder, "config.json");

    private string Mapping => Path.Combine(_folder, "mapping.json");

    public static TheoryData<string> Names => [.. PublishedModels.All.Keys];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Names))]
    public void A_wrong_member_of_a_configuration_changes_nothing_or_is_an_error(string name)
    {
        PublishedModel published = PublishedModels.All[name];
        published.Write(_folder, published.Types[0], published.Call(1, length: 3).Weights);
        Try(File.ReadAllText(Configuration), Configuration, mapping: null);
    }

    [Theory]
    [MemberData(nameof(DescribedLayers.All), MemberType = typeof(DescribedLayers))]
    public void A_wrong_member_of_a_mapping_changes_nothing_or_is_an_error(string name, string layer)
    {
        PublishedModel published = PublishedModels.All[name];
        published.Write(_folder, published.Types[0], published.Call(1, length: 3).Weights);
        File.Delete(Configuration);
        Try($$"""{"layers":[{{layer}}]}""", Mapping, Mapping);
    }

    private void Try(string text, string path, string? mapping)
    {
        File.WriteAllText(path, text);
        (string? own, string? problem) = Describe(mapping);
        Assert.Null(problem);
        var faults = new List<string>();
        var random = new Random(Fuzz.Seed());
        (string[] Member, string Value)[] all =
            [.. Members(JsonNode.Parse(text)!, []).SelectMany(member => _values.Select(value => (member, value)))];
        random.Shuffle(all);
        foreach ((string[] member, string value) in all.Take(Fuzz.Problems(Usual)))
        {
            (JsonNode root, JsonValueKind kind) = Replace(text, member, remove: value == LeftOut);
            File.WriteAllText(path, root.ToJsonString().Replace($"\"{Mark}\"", value, StringComparison.Ordinal));
            Judge(string.Join('.', member), value, IsSameKind(kind, value), own!);
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));

        void Judge(string member, string value, bool maySay, string own)
        {
            (string? shown, string? error) = Describe(mapping);
            string? fault = shown is not null ? shown == own || maySay ? null : $"made {shown}"
                : error!.StartsWith('!') || error.Contains('\n', StringComparison.Ordinal) ? error
                : null;
            if (fault is not null)
                faults.Add($"{member} = {value}: {fault}");
        }
    }

    // The layer in words and numbers; or the error, with a mark where it is of a kind that is not documented.
    private (string? Layer, string? Error) Describe(string? mapping)
    {
        try
        {
            using var model = AttentionModel.Open(_folder, mapping);
            var text = new StringBuilder();
            foreach (AttentionModelLayer layer in model.Layers)
            {
                (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = model.ReadLayer(layer);
                text.Append(layer.Stack).Append(layer.Index).Append(layer.IsCross).Append(layer.IsCausal).Append(layer.Prefix)
                    .Append(config);
                foreach (Tensor<float>? tensor in new[]
                {
                    weights.Query, weights.Key, weights.Value, weights.Output, weights.QueryBias, weights.QueryNorm, weights.Sinks,
                    weights.AlibiSlopes, weights.DistanceBias,
                })
                {
                    text.Append(' ').Append(tensor is null ? "none" : Sum(tensor));
                }
            }

            return (text.ToString(), null);
        }
        catch (InvalidDataException exception)
        {
            return (null, exception.Message);
        }
        catch (Exception exception)
        {
            return (null, $"!{exception.GetType().Name}: {exception.Message}");
        }
    }

    private static double Sum(Tensor<float> tensor)
    {
        double sum = 0.0;
        float[] values = Data.Flat(tensor);
        for (int i = 0; i < values.Length; i++)
            sum += values[i] * (1.0 + Math.Sin(i));
        return sum;
    }

    private static bool IsSameKind(JsonValueKind kind, string value)
    {
        JsonValueKind other = value[0] switch
        {
            't' or 'f' => JsonValueKind.True,
            '"' => JsonValueKind.String,
            '[' => JsonValueKind.Array,
            '{' => JsonValueKind.Object,
            _ => JsonValueKind.Number,
        };
        return value is LeftOut or "null" || kind == JsonValueKind.Null
            || other == (kind == JsonValueKind.False ? JsonValueKind.True : kind);
    }

    private static IEnumerable<string[]> Members(JsonNode node, string[] path)
    {
        if (path.Length > 0)
            yield return path;
        (string Name, JsonNode? Node)[] inner = node switch
        {
            JsonObject own => [.. own.Select(member => (member.Key, member.Value))],
            JsonArray own => [.. own.Select((element, index) => (index.ToString(CultureInfo.InvariantCulture), element))],
            _ => [],
        };
        foreach ((string name, JsonNode? child) in inner)
        {
            foreach (string[] below in child is null ? [[.. path, name]] : Members(child, [.. path, name]))
                yield return below;
        }
    }

    // A copy with the mark in the place of a member, and the kind of its value.
    private static (JsonNode Root, JsonValueKind Kind) Replace(string text, string[] path, bool remove = false)
    {
        JsonNode root = JsonNode.Parse(text)!;
        JsonNode parent = root;
        foreach (string step in path[..^1])
            parent = (parent is JsonArray array ? array[int.Parse(step, CultureInfo.InvariantCulture)] : parent[step])!;
        if (parent is JsonArray list)
        {
            int index = int.Parse(path[^1], CultureInfo.InvariantCulture);
            JsonValueKind kind = list[index]?.GetValueKind() ?? JsonValueKind.Null;
            if (remove)
                list.RemoveAt(index);
            else
                list[index] = Mark;
            return (root, kind);
        }

        JsonValueKind own = parent[path[^1]]?.GetValueKind() ?? JsonValueKind.Null;
        if (remove)
            parent.AsObject().Remove(path[^1]);
        else
            parent[path[^1]] = Mark;
        return (root, own);
    }
}
