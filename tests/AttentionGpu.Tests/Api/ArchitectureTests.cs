using System.Reflection;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Api;

/// <summary>
/// Calls flow straight down through the folders of the engine, and nothing refers upwards. A type's folder is its namespace; those of the
/// public
/// types, which have one namespace, are listed here.
/// </summary>
public class ArchitectureTests
{
    // From the bottom up. docs/architecture.md has the table with what each knows.
    private static readonly string[] _folders =
    [
        "Elements", "Memory", "KeyValues", "Problems", "Tensors", "Serialization", "KeyValueCaches", "Backends", "Devices", "Operators",
        "Layers",
        "Models",
    ];

    private static readonly Dictionary<string, string> _publicTypes = new()
    {
        ["BFloat16"] = "Elements",
        ["AttentionMemoryException"] = "Memory",
        ["KeyValueElement"] = "KeyValues",
        ["ScoreStage"] = "Problems",
        ["DeviceTensor"] = "Tensors",
        ["DeviceTensor`1"] = "Tensors",
        ["TensorInput`1"] = "Tensors",
        ["TensorOutput`1"] = "Tensors",
        ["AttentionMask"] = "Tensors",
        ["KeyValueCache"] = "KeyValueCaches",
        ["KeyValueCacheFullException"] = "KeyValueCaches",
        ["KeyValueCacheKind"] = "KeyValueCaches",
        ["KeyValueCacheOptions"] = "KeyValueCaches",
        ["KeyValueBatch"] = "KeyValueCaches",
        ["KeyValueSequence"] = "KeyValueCaches",
        ["DeviceInfo"] = "Backends",
        ["DeviceKind"] = "Backends",
        ["DeviceSelection"] = "Devices",
        ["AttentionEngine"] = "Operators",
        ["AttentionEngineOptions"] = "Devices",
        ["AttentionInputs`1"] = "Operators",
        ["AttentionOutputs`1"] = "Operators",
        ["AttentionOptions"] = "Operators",
        ["AttentionLayout"] = "Operators",
        ["AttentionWindow"] = "Operators",
        ["QueryAlignment"] = "Operators",
        ["Causal"] = "Operators",
        ["TensorScatterMode"] = "Operators",
        ["LayerPositions"] = "Layers",
        ["MultiHeadAttention"] = "Layers",
        ["MultiHeadAttention`1"] = "Layers",
        ["MultiHeadAttentionConfig"] = "Layers",
        ["MultiHeadAttentionLoadOptions"] = "Layers",
        ["MultiHeadAttentionWeights"] = "Layers",
        ["MultiHeadAttentionInputs`1"] = "Layers",
        ["MultiHeadAttentionOutputs`1"] = "Layers",
        ["RotaryEmbedding"] = "Layers",
        ["RotaryScaling"] = "Layers",
        ["ModelStack"] = "Layers",
        ["AttentionModel"] = "Models",
        ["AttentionModelLayer"] = "Models",
    };

    // References that go down, but past the folder between.
    private static readonly (string From, string To)[] _forbidden = [("Layers", "Backends"), ("Layers", "Devices"), ("Tensors", "Problems")];

    private static readonly Type[] _types = typeof(AttentionEngine).Assembly.GetTypes();

    [Fact]
    public void Every_type_has_a_folder()
    {
        string[] without = [.. _types.Where(type => IsOurs(type) && Array.IndexOf(_folders, FolderOf(type)) < 0).Select(type => type.FullName!)];
        Assert.True(without.Length == 0, $"Add to the table: {string.Join(", ", without)}.");
    }

    [Fact]
    public void No_type_refers_upwards()
    {
        var wrong = new SortedSet<string>(StringComparer.Ordinal);
        int references = 0;
        foreach (Type type in _types.Where(IsOurs))
        {
            string from = FolderOf(type);
            foreach (Type other in TypeReferences.Of(type).Where(IsOurs))
            {
                references++;
                string to = FolderOf(other);
                if (Array.IndexOf(_folders, to) > Array.IndexOf(_folders, from) || _forbidden.Contains((from, to)))
                    wrong.Add($"{type} ({from}) refers to {other} ({to})");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        const int fewest = 1000;
        Assert.True(references > fewest, $"Only {references} references were found.");
    }

    [Fact]
    public void One_place_above_the_backends_makes_a_signature_of_attention()
    {
        MethodInfo setter = typeof(AttentionSignature).GetProperty(nameof(AttentionSignature.HeadSize))!.SetMethod!;
        Type[] makers =
        [
            .. _types.Where(type => IsOurs(type) && FolderOf(type) != "Backends" && type != typeof(AttentionSignature)
                && TypeReferences.Methods(type).Any(method => TypeReferences.Calls(method).Contains(setter)))
        ];
        Assert.Equal([typeof(AttentionRequest)], makers);
    }

    // Types that the compiler makes for a file or an assembly have no place.
    private static bool IsOurs(Type type) =>
        type.Assembly == typeof(AttentionEngine).Assembly && type.FullName is { } name && name.StartsWith("AttentionGpu.", StringComparison.Ordinal)
        && !name.Contains("PrivateImplementationDetails", StringComparison.Ordinal);

    private static string FolderOf(Type type)
    {
        while (type.DeclaringType is { } outer)
            type = outer;
        string space = type.Namespace!;
        return space == "AttentionGpu" ? _publicTypes.GetValueOrDefault(type.Name, "") : space.Split('.')[1];
    }
}
