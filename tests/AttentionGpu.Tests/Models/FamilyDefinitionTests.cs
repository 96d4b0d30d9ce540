using System.Numerics.Tensors;
using AttentionGpu.Tests.Models.Definitions;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>
/// Layers of checkpoints as the Hub has them against definitions that were written from each family's published source, without a look at
/// the loader.
/// </summary>
public sealed class FamilyDefinitionTests : IDisposable
{
    private const int Batch = 2;

    // A window of the checkpoints is 5 keys, to both sides 3; an original context is 10.
    private static readonly int[] _lengths = [1, 7, 13];

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    // Falcon adds its ALiBi before the scale and rounds it to bfloat16; models with experts place windows in ways of their own.
    internal static IReadOnlyList<string> Refused { get; } = ["falcon (rw)", "qwen2_moe (windows)", "qwen3_moe (windows)"];

    public static TheoryData<string> Names => [.. FamilyDefinitions.All.Keys];

    /// <summary>Members that real files have and that change nothing in attention.</summary>
    public static TheoryData<string, string> Harmless => new()
    {
        { "llama (3)", """ "rope_interleaved": false, "is_llama_config": true, "_attn_implementation_autoset": true """ },
        { "llama (2)", """ "rope_scaling": { "type": "default" } """ },
        { "llama (linear)", """ "rope_scaling": { "factor": 4.0, "rope_type": "linear", "type": "linear" } """ },
        { "mistral", """ "head_dim": null, "attention_bias": false """ },
        { "qwen3", """ "layer_types": ["full_attention", "full_attention"], "dtype": "bfloat16" """ },
        { "gemma3_text", """ "layer_types": ["sliding_attention", "sliding_attention", "full_attention"] """ },
        { "gemma2", """ "use_bidirectional_attention": false """ },
        { "gpt2", """ "reorder_and_upcast_attn": false, "scale_attn_by_inverse_layer_idx": false, "scale_attn_weights": true """ },
        { "gpt_neox", """ "attention_bias": true, "attention_dropout": 0.0, "rope_scaling": null, "rope_theta": 10000 """ },
        { "falcon (7b)", """ "ffn_hidden_size": 128, "num_kv_heads": 71, "num_ln_in_parallel_attn": null, "rope_theta": 10000.0 """ },
        { "vit", """ "pooler_act": "tanh", "pooler_output_size": 768 """ },
    };

    /// <summary>Members that change attention in a way that the library does not do, and those that it has to have.</summary>
    public static TheoryData<string, string, string[]> Harmful
    {
        get
        {
            var rows = new TheoryData<string, string, string[]>();
            void Add(string name, string members, params string[] without) => rows.Add(name, members, without);
            Add("bert", """ "position_embedding_type": "relative_key" """);
            Add("bert", """ "is_decoder": true """);
            Add("gptj", """ "rotary": false """);
            Add("gpt2", """ "scale_attn_weights": false """);
            Add("llama (3)", """ "rope_interleaved": true """);
            Add("llama (3)", """ "no_rope_layers": [1, 0] """);
            Add("llama (3)", """ "use_bidirectional_attention": true """);
            Add("llama (3)", """ "is_causal": false """);
            Add("olmo", """ "clip_qkv": 8.0 """);
            Add("qwen2", """ "dual_chunk_attention_config": { "chunk_size": 8 } """);
            Add("qwen2", """ "rope_scaling": { "mrope_section": [1, 1, 1], "rope_type": "default", "type": "mrope" } """);
            Add("qwen2 (windows)", "", "sliding_window");
            Add("stablelm", """ "qk_layernorm": true """);
            Add("gpt_oss", "", "rope_scaling");
            Add("vit", """ "qkv_bias": false """);
            Add("mixtral", "", "rope_theta");
            Add("qwen3", "", "rms_norm_eps");
            return rows;
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Names))]
    public void Layers_of_a_family_agree_with_its_published_source(string name)
    {
        int seed = Fuzz.Seed();
        if (Refused.Contains(name))
        {
            Assert.Throws<InvalidDataException>(() => Compare(FamilyDefinitions.All[name], "simd", seed, _lengths));
            return;
        }

        foreach (string device in (string[])["reference", "simd"])
            Compare(FamilyDefinitions.All[name], device, seed, _lengths);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_definition_gives_numbers_that_depend_on_all_rows(string name)
    {
        FamilyDefinition family = FamilyDefinitions.All[name];
        var random = new Random(Fuzz.Seed());
        HubCheckpoint checkpoint = family.Create(random);
        foreach (DefinedLayer layer in family.Layers)
        {
            double[][] rows = Rows(Data.Random(random, 1, 3, family.Size), 0);
            double[][] output = family.Attend(checkpoint, layer, new LayerRows(rows, rows, rows));
            Assert.All(output, row => Assert.All(row, element => Assert.True(double.IsFinite(element))));
            Assert.Equal(family.Size, output[0].Length);
            double[][] other = [[.. rows[0].Select(element => -element)], .. rows[1..]];
            double[][] changed = family.Attend(checkpoint, layer, new LayerRows(other, other, other));
            Assert.NotEqual(output[2], changed[2]);
            if (layer.IsCausal)
            {
                double[][] last = [.. rows[..2], [.. rows[2].Select(element => -element)]];
                Assert.Equal(output[1], family.Attend(checkpoint, layer, new LayerRows(last, last, last))[1]);
            }
        }
    }

    // On the emulator a call takes a second: each run draws some of the families, and a layer of each.
    [Fact]
    public void A_layer_of_some_families_agrees_on_the_emulator()
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        string[] names = [.. FamilyDefinitions.All.Keys.Where(name => !Refused.Contains(name))];
        foreach (string name in random.GetItems(names, Fuzz.Problems(usual: 4)))
        {
            FamilyDefinition family = FamilyDefinitions.All[name];
            Compare(family with { Layers = random.GetItems(family.Layers, 1) }, "ilgpu-cpu", seed, [7]);
        }
    }

    [Theory]
    [MemberData(nameof(Harmless))]
    public void Members_that_do_not_concern_attention_change_nothing(string name, string members)
    {
        FamilyDefinition family = FamilyDefinitions.All[name];
        Compare(family with { Create = random => family.Create(random).Change(members, []) }, "simd", Fuzz.Seed(), [7]);
    }

    [Theory]
    [MemberData(nameof(Harmful))]
    public void Members_that_make_attention_another_are_refused(string name, string members, string[] without)
    {
        FamilyDefinitions.All[name].Create(new Random(Fuzz.Seed())).Change(members, without).Write(_folder);
        Assert.Throws<InvalidDataException>(() => AttentionModel.Open(_folder).Dispose());
    }

    [Fact]
    public void A_layer_of_open_clip_agrees_with_its_published_source()
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        FamilyDefinition family = EncoderFamilies.OpenClip();
        HubCheckpoint checkpoint = family.Create(random);
        checkpoint.Write(_folder, "open_clip_config.json");
        DefinedLayer defined = family.Layers[0];
        using MultiHeadAttention<float> layer = MultiHeadAttention.Load<float>(
            Engines.Get("simd"), Path.Combine(_folder, "model.safetensors"), checkpoint.Int("model_cfg.vision_cfg.heads"),
            prefix: defined.Prefix);
        CompareLayer(family, checkpoint, defined, layer, random, 7, $"simd, seed {seed}");
    }

    private void Compare(FamilyDefinition family, string device, int seed, int[] lengths)
    {
        var random = new Random(seed);
        HubCheckpoint checkpoint = family.Create(random);
        checkpoint.Write(_folder);
        using var model = AttentionModel.Open(_folder);
        foreach (DefinedLayer defined in family.Layers)
        {
            AttentionModelLayer found = Assert.Single(model.Layers, layer => layer.Prefix == defined.Prefix);
            Assert.Equal((defined.Index, defined.IsCausal, defined.IsCross), (found.Index, found.IsCausal, found.IsCross));
            if (defined.Stack is ModelStack stack)
                Assert.Equal(stack, found.Stack);
            using MultiHeadAttention<float> layer = model.LoadLayer<float>(Engines.Get(device), found);
            foreach (int length in lengths)
                CompareLayer(family, checkpoint, defined, layer, random, length, $"{device}, seed {seed}");
        }
    }

    private static void CompareLayer(
        FamilyDefinition family, HubCheckpoint checkpoint, DefinedLayer defined, MultiHeadAttention<float> layer, Random random, int length,
        string context)
    {
        int keys = defined.IsCross ? length + 4 : length;
        bool isSelf = !defined.IsCross && !family.HasOwnKeys;
        Tensor<float> query = Data.Random(random, Batch, length, family.Size);
        Tensor<float> key = isSelf ? query : Data.Random(random, Batch, keys, family.Size);
        Tensor<float> value = family.HasOwnKeys ? Data.Random(random, Batch, keys, family.Size) : key;
        Tensor<float> output = Data.Poisoned(query.Lengths);
        layer.Forward(
            query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            defined.IsCausal ? Causal.TopLeft : Causal.None);
        double[][] expected = [.. Enumerable.Range(0, Batch).SelectMany(entry => family.Attend(
            checkpoint, defined, new LayerRows(Rows(query, entry), Rows(key, entry), Rows(value, entry))))];
        Close.Assert(
            [.. expected.SelectMany(row => row.Select(element => (float)element))], Data.Flat(output),
            $"{family.Name}, {defined.Prefix}, {length} tokens on {context}");
    }

    private static double[][] Rows(Tensor<float> tensor, int entry)
    {
        (int length, int size) = ((int)tensor.Lengths[1], (int)tensor.Lengths[2]);
        return [.. Data.Flat(tensor).Select(element => (double)element).Chunk(size).Skip(entry * length).Take(length)];
    }
}
