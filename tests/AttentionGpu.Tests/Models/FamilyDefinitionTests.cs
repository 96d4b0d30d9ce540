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

    // On the emulator a call takes a second: each run draws some of the families.
    private const int EmulatedFamilies = 5;

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    /// <summary>Families whose layers the library does not compute as the source does today, and why; each entry goes as it learns one.</summary>
    private static readonly Dictionary<string, string> _notYet = new()
    {
        ["t5"] = "Refused: a learned bias by buckets of distances.",
        ["mt5"] = "Refused: a learned bias by buckets of distances.",
        ["umt5"] = "Refused: a learned bias by buckets of distances.",
        ["sam"] = "Refused: the mask decoder is not listed.",
        ["mpt"] = "Refused: not in the table.",
        ["timm vit"] = "Refused: a configuration without 'model_type'.",
        ["bert (multilingual)"] = "Refused: 'pooler_num_attention_heads', which transformers does not read.",
        ["modernbert (transformers 5)"] = "Refused: 'rope_parameters' by kind of layer.",
        ["gemma2 (softcap by default)"] = "Wrong: no soft capping where 'attn_logit_softcapping' is not there.",
        ["gemma3"] = "Refused: not in the table.",
        ["gemma3_text (transformers 5)"] = "Refused: 'rope_parameters' by kind of layer.",
        ["llama (dynamic)"] = "Refused: dynamic scaling.",
        ["phi3 (longrope)"] = "Refused: LongRoPE scaling.",
        ["phi3 (su)"] = "Refused: LongRoPE scaling by its old name.",
        ["phi3 (Phi-4-mini)"] = "Refused: 'full_attn_mod', which changes nothing, and LongRoPE scaling.",
        ["gpt2 (scale by layer)"] = "Refused: 'scale_attn_by_inverse_layer_idx'.",
        ["falcon (rw)"] = "Refused: ALiBi, which Falcon adds before the scale.",
        ["qwen2_moe (windows)"] = "Wrong: windows of layers from 'max_window_layers' on, as Qwen2 has.",
        ["qwen3_moe (windows)"] = "Wrong: windows of layers from 'max_window_layers' on, where all have one.",
    };

    public static TheoryData<string> Names => [.. FamilyDefinitions.All.Keys];

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Names))]
    public void Layers_of_a_family_agree_with_its_published_source(string name)
    {
        SkipIfNotYet(name);
        int seed = Fuzz.Seed();
        foreach (string device in (string[])["reference", "simd"])
            Compare(FamilyDefinitions.All[name], device, seed, _lengths);
    }

    [Fact]
    public void Layers_of_some_families_agree_on_the_emulator()
    {
        int seed = Fuzz.Seed();
        string[] names = [.. FamilyDefinitions.All.Keys.Where(name => !_notYet.ContainsKey(name))];
        foreach (string name in new Random(seed).GetItems(names, EmulatedFamilies))
            Compare(FamilyDefinitions.All[name], "ilgpu-cpu", seed, [7]);
    }

    private static void SkipIfNotYet(string name)
    {
        if (_notYet.TryGetValue(name, out string? reason))
            Assert.Skip(reason);
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
            {
                int keys = defined.IsCross ? length + 4 : length;
                Tensor<float> query = Data.Random(random, Batch, length, family.Size);
                bool isSelf = !defined.IsCross && !family.HasOwnKeys;
                Tensor<float> key = isSelf ? query : Data.Random(random, Batch, keys, family.Size);
                Tensor<float> value = family.HasOwnKeys ? Data.Random(random, Batch, keys, family.Size) : key;
                Tensor<float> output = Data.Poisoned(query.Lengths);
                layer.Forward(
                    query.AsReadOnlyTensorSpan(), key.AsReadOnlyTensorSpan(), value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
                    found.IsCausal ? Causal.TopLeft : Causal.None);
                double[][] expected = [.. Enumerable.Range(0, Batch).SelectMany(entry => family.Attend(
                    checkpoint, defined, new LayerRows(Rows(query, entry), Rows(key, entry), Rows(value, entry))))];
                Close.Assert(
                    [.. expected.SelectMany(row => row.Select(element => (float)element))], Data.Flat(output),
                    $"{family.Name}, {defined.Prefix}, {length} tokens on {device}, seed {seed}");
            }
        }
    }

    private static double[][] Rows(Tensor<float> tensor, int entry)
    {
        (int length, int size) = ((int)tensor.Lengths[1], (int)tensor.Lengths[2]);
        return [.. Data.Flat(tensor).Select(element => (double)element).Chunk(size).Skip(entry * length).Take(length)];
    }
}
