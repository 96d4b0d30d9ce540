using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Models.Definitions;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>A cache for the layers of a model.</summary>
public sealed class ModelCacheTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_cache_has_the_layers_heads_and_sizes_of_a_stack()
    {
        using AttentionModel model = Open(LlamaFamilies.Llama3());
        KeyValueCacheOptions options = model.CacheOptions(capacity: 70, sequences: 5) with { Kind = KeyValueCacheKind.Paged };
        MultiHeadAttentionConfig config = model.Layers[0].Config;
        Assert.Equal(
            new KeyValueCacheOptions
            {
                Layers = model.Layers.Count,
                KeyValueHeads = config.KeyValueHeads ?? config.Heads,
                HeadSize = config.HeadSize ?? config.EmbeddingSize / config.Heads,
                Capacity = 70,
                Sequences = 5,
                Kind = KeyValueCacheKind.Paged,
            },
            options);
        Engines.Reference.CreateCache(options).Dispose();
    }

    [Fact]
    public void Cross_attention_has_a_cache_of_its_own()
    {
        using AttentionModel model = Open(SequenceFamilies.Bart());
        int own = model.CacheOptions(9, 1, ModelStack.Decoder).Layers;
        int cross = model.CacheOptions(9, 1, isCross: true).Layers;
        Assert.Equal(model.Layers.Count(layer => layer.Stack == ModelStack.Decoder && !layer.IsCross), own);
        Assert.Equal(model.Layers.Count(layer => layer.IsCross), cross);
    }

    [Fact]
    public void Layers_whose_rows_cannot_be_kept_or_that_are_not_there_are_refused()
    {
        using AttentionModel model = Open(SequenceFamilies.Bart());
        Refused(model, null, false, "The stack must be given, because the encoder and the decoder have self-attention.");
        Refused(model, ModelStack.Encoder, false, "see those behind them");
        Refused(model, ModelStack.Vision, false, "has no layer of self-attention in the vision");
        Refused(model, ModelStack.Encoder, true, "has no layer of cross-attention in the encoder");
    }

    [Fact]
    public void Layers_of_different_heads_are_refused()
    {
        string mapping = Path.Combine(_folder, "mapping.json");
        var tensors = new Dictionary<string, Tensor<float>>();
        foreach (string layer in (string[])["a.0.", "b.0."])
        {
            foreach (string projection in (string[])["q_proj", "k_proj", "v_proj", "out_proj"])
                tensors[$"{layer}{projection}.weight"] = Data.Random(new Random(), 16, 16);
        }

        SafetensorsFile.Write(Path.Combine(_folder, "model.safetensors"), tensors);
        const string member = "\"stack\":\"decoder\",\"causal\":true,\"num_attention_heads\"";
        File.WriteAllText(mapping, $$"""{"layers":[{"prefix":"a.N.",{{member}}:2},{"prefix":"b.N.",{{member}}:4}]}""");
        using var model = AttentionModel.Open(_folder, mapping);
        Refused(
            model, null, false,
            "The layers must be alike to share a cache; 'a.0' has 2 key/value heads of size 8, and 'b.0' has 4 key/value heads of size 4.");
    }

    private AttentionModel Open(FamilyDefinition family)
    {
        family.Create(new Random(Fuzz.Seed())).Write(_folder);
        return AttentionModel.Open(_folder);
    }

    private static void Refused(AttentionModel model, ModelStack? stack, bool isCross, string rule)
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => model.CacheOptions(9, 1, stack, isCross));
        Assert.Equal("stack", error.ParamName);
        Assert.Contains(rule, error.Message, StringComparison.Ordinal);
    }
}
