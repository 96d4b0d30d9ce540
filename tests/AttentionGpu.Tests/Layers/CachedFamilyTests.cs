using System.Numerics.Tensors;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Models.Definitions;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Layers;

/// <summary>Layers of model families with a cache against the same layers without.</summary>
public sealed class CachedFamilyTests : IDisposable
{
    // Of families whose rotary embedding depends on the length, within their original context.
    private const int ShortLength = 10;
    private const int Length = 29;
    private const int PageSize = 16;

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [EveryDevice]
    public void Layers_of_a_model_share_a_cache_and_agree_with_whole_sequences(string device)
    {
        foreach ((AttentionModel model, FamilyDefinition family, DefinedLayer defined, Random random) in Draw(device, isCross: false))
        {
            ModelStack stack = Find(model, defined).Stack;
            AttentionModelLayer[] found = [.. model.Layers.Where(layer => layer.Stack == stack && !layer.IsCross)];
            MultiHeadAttention<float>[] layers = Load(model, found, device);
            MultiHeadAttention<float>[] definitions = Load(model, found, "reference");
            bool dependsOnLength = layers.Any(layer => layer.Rotary is not null && layer.Rotary.Stage(1) != layer.Rotary.Stage(Length));
            KeyValueCacheOptions options = model.CacheOptions(dependsOnLength ? ShortLength : Length, sequences: 1, stack);
            Assert.Equal(found.Length, options.Layers);
            foreach (KeyValueCacheOptions one in Kinds(options, layers, random))
                CachedRun.AssertAgrees(layers, definitions, one, random, options.Capacity, $"{family.Name} on {device}");
            Dispose(layers);
            Dispose(definitions);
        }
    }

    [Theory]
    [EveryDevice]
    public void Cross_attention_reads_rows_that_were_written_once(string device)
    {
        foreach ((AttentionModel model, FamilyDefinition family, DefinedLayer defined, Random random) in Draw(device, isCross: true))
        {
            AttentionModelLayer found = Find(model, defined);
            using MultiHeadAttention<float> layer = model.LoadLayer<float>(Engines.Get(device), found);
            using MultiHeadAttention<float> definition = model.LoadLayer<float>(Engines.Reference, found);
            var options = new KeyValueCacheOptions
            {
                KeyValueHeads = found.Config.ActualKeyValueHeads,
                HeadSize = found.Config.ActualHeadSize,
                Capacity = Length,
                Sequences = 2,
                Kind = random.Next(2) == 0 ? KeyValueCacheKind.Contiguous : KeyValueCacheKind.Paged,
            };
            AssertCrossAgrees(layer, definition, options, random, family.HasOwnKeys, $"{family.Name} on {device}");
        }
    }

    private static void AssertCrossAgrees(
        MultiHeadAttention<float> layer, MultiHeadAttention<float> definition, KeyValueCacheOptions options, Random random,
        bool hasOwnValues,
        string context)
    {
        using KeyValueCache cache = layer.Engine.CreateCache(options);
        KeyValueSequence[] sequences = [cache.Open(), cache.Open()];
        int[] rows = [1 + random.Next(Length), 1 + random.Next(Length)];
        Tensor<float> keys = Data.Random(random, rows.Sum(), layer.Config.ActualKeySize);
        Tensor<float> values = hasOwnValues ? Data.Random(random, rows.Sum(), layer.Config.ActualValueSize) : keys;
        using (KeyValueBatch batch = cache.Append(sequences, rows))
        {
            if (hasOwnValues)
                layer.WriteCache(keys, values, batch);
            else
                layer.WriteCache(keys, batch);
        }

        for (int step = 0; step < 2; step++)
        {
            int[] counts = [random.Next(4), 1 + random.Next(3)];
            Tensor<float> query = Data.Random(random, counts.Sum(), layer.Config.EmbeddingSize);
            Tensor<float> output = Data.Poisoned(query.Lengths);
            using (KeyValueBatch batch = cache.Read(sequences, counts))
                layer.Forward(query, output, batch);
            Tensor<float> expected = Data.Poisoned(query.Lengths);
            definition.Forward(
                new MultiHeadAttentionInputs<float>
                {
                    Query = query,
                    Key = keys,
                    Value = values,
                    CumulativeLengths = [0, counts[0], counts.Sum()],
                    CumulativeKeyLengths = [0, rows[0], rows.Sum()],
                },
                new MultiHeadAttentionOutputs<float> { Output = expected });
            Close.Assert(expected, output, $"step {step}, {context}");
        }
    }

    // Contiguous, paged, and of windows where each layer has one.
    private static IEnumerable<KeyValueCacheOptions> Kinds(KeyValueCacheOptions options, MultiHeadAttention<float>[] layers, Random random)
    {
        yield return options;
        yield return options with { Kind = KeyValueCacheKind.Paged, PageSize = PageSize };
        if (layers.Any(layer => layer.Config.Window?.Left is null))
            yield break;
        int window = 1 + layers.Max(layer => layer.Config.Window!.Left!.Value) + random.Next(2);
        yield return options with { Kind = KeyValueCacheKind.Window, Window = window, Capacity = window + random.Next(6) };
    }

    // A call of the emulator takes a second.
    private IEnumerable<(AttentionModel Model, FamilyDefinition Family, DefinedLayer Layer, Random Random)> Draw(
        string device, bool isCross)
    {
        var random = new Random(Fuzz.Seed());
        FamilyDefinition[] families =
        [
            .. FamilyDefinitions.All.Values.Where(family =>
                !FamilyDefinitionTests.Refused.Contains(family.Name) && family.Layers.Any(layer => Fits(layer, isCross))),
        ];
        random.Shuffle(families);
        int usual = Engines.Get(device).Device.Kind is DeviceKind.Reference or DeviceKind.Simd ? 6 : 1;
        foreach (FamilyDefinition family in families.Take(Fuzz.Problems(usual)))
        {
            family.Create(random).Write(_folder);
            using var model = AttentionModel.Open(_folder);
            DefinedLayer layer = random.GetItems([.. family.Layers.Where(layer => Fits(layer, isCross))], 1)[0];
            yield return (model, family, layer, random);
        }
    }

    private static bool Fits(DefinedLayer layer, bool isCross) => isCross ? layer.IsCross : layer.IsCausal && !layer.IsCross;

    private static AttentionModelLayer Find(AttentionModel model, DefinedLayer defined) =>
        Assert.Single(model.Layers, layer => layer.Prefix == defined.Prefix);

    private static MultiHeadAttention<float>[] Load(AttentionModel model, AttentionModelLayer[] layers, string device) =>
        [.. layers.Select(layer => model.LoadLayer<float>(Engines.Get(device), layer))];

    private static void Dispose(MultiHeadAttention<float>[] layers)
    {
        foreach (MultiHeadAttention<float> layer in layers)
            layer.Dispose();
    }
}
