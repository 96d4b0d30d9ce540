using System.Numerics.Tensors;
using AttentionGpu.Layers;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>Layers of small checkpoints under the published names, against the definition of attention.</summary>
public sealed class AttentionModelTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;

    public static TheoryData<string, string> Cases
    {
        get
        {
            var cases = new TheoryData<string, string>();
            foreach (string device in Engines.All)
            {
                foreach (string name in PublishedModels.All.Keys)
                    cases.Add(device, name);
            }

            return cases;
        }
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_layer_of_a_published_architecture_agrees_with_the_definition(string device, string name)
    {
        PublishedModel published = PublishedModels.All[name];

        // The emulator has a thread for each of a group.
        LayerCall call = published.Call(Environment.TickCount, length: device == "ilgpu-cpu" ? 5 : 9);
        Tensor<float> expected = LayerDefinition.Run(call).Output;

        // Types of one kind differ in nothing that a device sees.
        foreach (string type in device == "simd" ? published.Types : published.Types[..1])
        {
            published.Write(_folder, type, call.Weights);
            using var model = AttentionModel.Open(_folder);
            Assert.Equal(type, model.ModelType);
            AttentionModelLayer found = Assert.Single(model.Layers);
            Assert.Equal(
                (published.Stack, published.Index, published.IsCross, published.IsCausal, published.Prefix, typeof(float)),
                (found.Stack, found.Index, found.IsCross, found.IsCausal, found.Prefix + ".", found.ElementType));
            Assert.Same(found, model.FindLayer(published.Index, published.Stack, published.IsCross));
            Assert.Equal(published.IsCausal, found.Variant.Contains("causal", StringComparison.Ordinal));

            using var layer = (MultiHeadAttention<float>)model.LoadLayer(Engines.Get(device), found);
            Assert.Equal(found.Config, layer.Config);
            Tensor<float> output = Data.Poisoned(call.Query.Lengths);
            Tensor<float> keys = call.Key ?? call.Query;
            layer.Forward(
                call.Query.AsReadOnlyTensorSpan(), keys.AsReadOnlyTensorSpan(), keys.AsReadOnlyTensorSpan(), output.AsTensorSpan(), call.Causal);
            Close.Assert(expected, output, $"{name}, {type}, {call}");
        }
    }

    [Fact]
    public void Every_architecture_of_the_table_has_a_case()
    {
        string[] tested = [.. PublishedModels.All.Values.SelectMany(model => model.Types).Distinct().Order(StringComparer.Ordinal)];
        string[] known = [.. ModelFamilies.All.Where(family => family.Value.Refusal is null).Select(family => family.Key)];
        Assert.Equal(known, tested);
    }

    [Fact]
    public void The_elements_of_the_file_stay_unless_others_are_asked_for()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        LayerCall call = published.Call(3, length: 5);
        published.Write(_folder, "llama", call.Weights);
        AssertStored(value => (Half)value, value => (float)value);
        AssertStored(value => (BFloat16)value, value => value);

        void AssertStored<T>(Converter<float, T> store, Converter<T, float> load)
            where T : unmanaged
        {
            Tensor<T> Stored(Tensor<float> tensor) => Tensor.Create(Array.ConvertAll(Data.Flat(tensor), store), tensor.Lengths);
            SafetensorsFile.Write(
                Path.Combine(_folder, "model.safetensors"),
                published.Tensors(call.Weights).ToDictionary(pair => pair.Key, pair => Stored(pair.Value)));
            using var model = AttentionModel.Open(_folder);
            AttentionModelLayer found = model.FindLayer(3);
            Assert.Equal(typeof(T), found.ElementType);
            using MultiHeadAttention layer = model.LoadLayer(Engines.Reference, found);
            Assert.IsType<MultiHeadAttention<T>>(layer);
            using MultiHeadAttention<float> wide = model.LoadLayer<float>(Engines.Reference, found, batchFirst: false);
            Assert.False(wide.Config.BatchFirst);
            (_, MultiHeadAttentionWeights read) = model.ReadLayer(found);
            Assert.Equal(Array.ConvertAll(Data.Flat(Stored(call.Weights.Value)), load), Data.Flat(read.Value));
        }
    }

    [Fact]
    public void A_layer_is_found_by_its_prefix()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        published.Write(_folder, "llama", published.Call(3, length: 5).Weights);
        using var model = AttentionModel.Open(_folder);
        Assert.Same(model.Layers[0], model.FindLayer("model.layers.3.self_attn"));
        Assert.Same(model.Layers[0], model.FindLayer("model.layers.3.self_attn."));
        foreach (string wrong in new[] { "model.layers.3", "layers.3.self_attn", "3", "model.layers.3.self_attn.." })
        {
            ArgumentException exception = Assert.Throws<ArgumentException>(() => model.FindLayer(wrong));
            Assert.Equal("prefix", exception.ParamName);
            Assert.Contains($"no attention layer '{wrong}'", exception.Message, StringComparison.Ordinal);
            Assert.Contains("has: 'model.layers.3.self_attn'.", exception.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("BERT", "")]
    [InlineData("GPT-J", "causal; rotary of 4 elements, base 10000, interleaved")]
    [InlineData("BLOOM", "causal; ALiBi")]
    [InlineData("ModernBERT, window", "rotary, base 10000; window 3 back, 3 ahead")]
    [InlineData("Llama 3.1", "causal; rotary, base 500000, Llama 3 scaling by 8")]
    [InlineData("Gemma 2, window", "causal; rotary, base 10000; window 3 back; scale 0.2236068; softcap 1.5")]
    [InlineData("Gemma 3, all tokens", "causal; rotary, base 1000000, linear scaling by 8; scale 0.2236068; q and k norms")]
    [InlineData("Phi-3, LongRoPE, short", "causal; rotary, base 10000, LongRoPE beyond 16")]
    [InlineData("Llama, dynamic NTK", "causal; rotary, base 10000, dynamic NTK scaling by 2 beyond 4")]
    [InlineData("T5, decoder", "causal; relative bias; scale 1")]
    [InlineData("gpt-oss, window", "causal; rotary, base 150000, YaRN scaling by 32; window 3 back; sinks")]
    public void What_a_layer_computes_is_said_in_words(string name, string words)
    {
        PublishedModel published = PublishedModels.All[name];
        published.Write(_folder, published.Types[0], published.Call(3, length: 5).Weights);
        using var model = AttentionModel.Open(_folder);
        Assert.Equal(words, model.Layers[0].Variant);
    }

    [Fact]
    public void Parts_that_are_not_computed_are_named_with_the_reason()
    {
        PublishedModel published = PublishedModels.All["SAM, mask decoder"];
        published.Write(_folder, "sam", published.Call(3, length: 5).Weights);
        using var model = AttentionModel.Open(_folder);
        Assert.Contains("'vision_config': scores of the image encoder", Assert.Single(model.Refusals), StringComparison.Ordinal);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => model.FindLayer(0, ModelStack.Vision));
        Assert.Contains("Not computed: 'vision_config'", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Matrices_of_several_types_are_a_layer_of_float()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        Dictionary<string, Tensor<float>> tensors = published.Tensors(published.Call(3, length: 5).Weights);
        published.Write(_folder, "llama", published.Call(3, length: 5).Weights);
        string output = published.Prefix + "o_proj.weight";
        File.Delete(Path.Combine(_folder, "model.safetensors"));
        ShardedFolder.Write(
            _folder,
            [("a.safetensors", tensors.Where(pair => pair.Key != output).ToDictionary()), ("b.safetensors", new() { [output] = tensors[output] })]);
        SafetensorsFile.Write(
            Path.Combine(_folder, "b.safetensors"),
            new Dictionary<string, Tensor<Half>>
            {
                [output] = Tensor.Create(Array.ConvertAll(Data.Flat(tensors[output]), value => (Half)value), tensors[output].Lengths),
            });
        using var model = AttentionModel.Open(_folder);
        Assert.Equal(typeof(float), model.FindLayer(3).ElementType);
    }

    [Fact]
    public void Several_parts_with_a_layer_of_the_number_must_be_told_apart()
    {
        PublishedModel decoder = PublishedModels.All["encoder and decoder: decoder"];
        PublishedModel encoder = PublishedModels.All["encoder and decoder: encoder"];
        PublishedModel cross = PublishedModels.All["encoder and decoder: cross-attention"];
        decoder.Write(_folder, "bart", decoder.Call(1, 3).Weights);
        var tensors = new[] { decoder, encoder, cross }.SelectMany(part => part.Tensors(part.Call(1, 3).Weights)).ToDictionary();
        SafetensorsFile.Write(Path.Combine(_folder, "model.safetensors"), tensors);
        using var model = AttentionModel.Open(_folder);
        Assert.Equal(
            [(ModelStack.Encoder, false), (ModelStack.Decoder, false), (ModelStack.Decoder, true)],
            model.Layers.Select(layer => (layer.Stack, layer.IsCross)));
        Assert.Equal(8, model.FindLayer(1, isCross: true).Config.Heads);
        Assert.Equal(4, model.FindLayer(1, ModelStack.Encoder).Config.Heads);
        const string there = "encoder self-attention 1; decoder self-attention 1; decoder cross-attention 1";
        AssertError<ArgumentException>("The stack must be given, because several have a self-attention 1", () => model.FindLayer(1));
        AssertError<ArgumentException>("There is no self-attention 7 in the decoder", () => model.FindLayer(7, ModelStack.Decoder));
        AssertError<ArgumentException>(there, () => model.FindLayer(7));
        AssertError<ArgumentException>("There is no cross-attention 1 in the encoder", () => model.FindLayer(1, ModelStack.Encoder, isCross: true));
    }

    [Fact]
    public void A_layer_is_loaded_from_its_own_open_model()
    {
        PublishedModel published = PublishedModels.All["Llama 2"];
        published.Write(_folder, "llama", published.Call(3, length: 5).Weights);
        using var model = AttentionModel.Open(_folder);
        using var other = AttentionModel.Open(Path.Combine(_folder, "model.safetensors"));
        AssertError<ArgumentException>("'layer' must be one of the layers", () => other.ReadLayer(model.Layers[0]));
        model.Dispose();
        Assert.Throws<ObjectDisposedException>(() => model.LoadLayer(Engines.Reference, model.Layers[0]));
    }

    [Theory]
    [InlineData("Llama 2", "q_proj.lora_A.weight", "holds what this layer does not apply")]
    [InlineData("Llama 2", "sinks", "holds what this layer does not apply")]
    [InlineData("Llama 2", "q_norm.weight", "holds what this layer does not apply")]
    [InlineData("BERT", "self.distance_embedding.weight", "holds what this layer does not apply")]
    [InlineData("GPT-2", "scale", "holds what this layer does not apply")]
    public void A_tensor_that_the_layer_would_ignore_is_an_error(string name, string tensor, string message)
    {
        PublishedModel published = PublishedModels.All[name];
        LayerCall call = published.Call(3, length: 5);
        Dictionary<string, Tensor<float>> tensors = published.Tensors(call.Weights);
        tensors.Add(published.Prefix + tensor, Tensor.Create(new float[8], [8]));
        published.Write(_folder, published.Types[0], call.Weights);
        SafetensorsFile.Write(Path.Combine(_folder, "model.safetensors"), tensors);
        using var model = AttentionModel.Open(_folder);
        AssertError<InvalidDataException>($"{message}, and its results would be wrong: '{published.Prefix}{tensor}'", () =>
            model.ReadLayer(model.Layers[0]));
    }

    [Theory]
    [InlineData("Qwen3", "k_norm.weight", "has no tensor 'model.layers.3.self_attn.k_norm.weight'")]
    [InlineData("gpt-oss, all tokens", "sinks", "has no tensor 'model.layers.3.self_attn.sinks'")]
    [InlineData("Llama 2", "v_proj.weight", "has no tensor 'model.layers.3.self_attn.v_proj.weight'")]
    [InlineData("GPT-2", "c_proj.weight", "has no tensor 'transformer.h.2.attn.c_proj.weight'")]
    [InlineData("Llama 2", "q_proj.weight", "describes, N a number: 'layers.N.self_attn.q_proj")]
    public void A_tensor_that_the_layer_lacks_is_an_error(string name, string tensor, string message)
    {
        PublishedModel published = PublishedModels.All[name];
        LayerCall call = published.Call(3, length: 5);
        Dictionary<string, Tensor<float>> tensors = published.Tensors(call.Weights);
        tensors.Remove(published.Prefix + tensor);
        published.Write(_folder, published.Types[0], call.Weights);
        SafetensorsFile.Write(Path.Combine(_folder, "model.safetensors"), tensors);
        AssertError<InvalidDataException>(message, () =>
        {
            using var model = AttentionModel.Open(_folder);
            model.ReadLayer(model.Layers[0]);
        });
    }

    [Theory]
    [InlineData("Llama 2", "\"num_attention_heads\":4", "\"num_attention_heads\":1000000000", "1000000000 heads do not divide")]
    [InlineData("Llama 2", "\"num_attention_heads\":4", "\"num_attention_heads\":3", "3 heads do not divide")]
    [InlineData("Llama 2", "\"num_attention_heads\":4", "\"num_attention_heads\":0", "must be a whole number of at least 1")]
    [InlineData("Llama 2", "\"num_attention_heads\":4", "\"num_attention_heads\":1e10", "must be a whole number of at least 1")]
    [InlineData("Mistral", "\"num_attention_heads\":4,", "", "has no 'num_attention_heads'")]
    [InlineData("Llama 2", "\"num_key_value_heads\":2", "\"num_key_value_heads\":4", "has 'num_key_value_heads' = 4, but the layer has 2")]
    [InlineData("Phi-3", "\"num_key_value_heads\":2", "\"num_key_value_heads\":2147483647", "2147483647 key/value heads do not divide")]
    [InlineData("Phi-3", "\"num_key_value_heads\":2", "\"num_key_value_heads\":3", "3 key/value heads do not divide")]
    [InlineData("Phi-3", "\"num_key_value_heads\":2", "\"num_key_value_heads\":6", "has 'model.layers.3.self_attn.o_proj.weight' for (32, 32)")]
    [InlineData("Falcon 7B", "\"alibi\":false", "\"alibi\":true", "has 'alibi' = true, which this layer does not do")]
    [InlineData("Falcon 7B", "\"multi_query\":true,", "", "has no 'multi_query'")]
    [InlineData("GPT-NeoX", "\"rotary_pct\":0.25,", "", "has no 'rotary_pct'")]
    [InlineData("StableLM", ",\"partial_rotary_factor\":0.5", "", "has no 'partial_rotary_factor'")]
    [InlineData("GPT-2", "\"scale_attn_by_inverse_layer_idx\":false", "\"scale_attn_by_inverse_layer_idx\":3", "must be true or false")]
    [InlineData("BERT", "\"is_decoder\":false", "\"is_decoder\":true", "has 'is_decoder' = true, which this layer does not do")]
    [InlineData("BERT", "\"absolute\"", "\"relative_key_query\"", "has 'position_embedding_type' = \"relative_key_query\"")]
    [InlineData("CLIP, text", "\"text_config\"", "\"other_config\"", "has no object 'text_config'")]
    [InlineData("CLIP, text", "\"num_attention_heads\":8", "\"attn_scale\":8", "'text_config' of '")]
    [InlineData("Llama 2", "TYPE", "deepseek_v2", "whose layers are not computed: keys and values are made from a latent row")]
    [InlineData("Llama 2", "TYPE", "nonesuch", "is not one of those whose layers are known: bart, bert, ")]
    [InlineData("Gemma 3, window", "\"sliding_window_pattern\":4", "\"sliding_window_pattern\":0", "must be a whole number of at least 1")]
    [InlineData("T5, encoder", "\"relative_attention_num_buckets\":8", "\"relative_attention_num_buckets\":9", "make no buckets")]
    [InlineData("T5, encoder", "\"relative_attention_num_buckets\":8", "\"relative_attention_num_buckets\":10", "it must have [10, 4]")]
    [InlineData("T5, encoder", "_distance\":7", "_distance\":2", "make no buckets")]
    [InlineData("T5, encoder", "_distance\":7", "_distance\":100000000", "make no buckets of distances up to 65536")]
    [InlineData("T5, encoder", "\"d_kv\":6", "\"d_kv\":8", "has 'd_kv' = 8, but the layer has 6")]
    [InlineData("MPT", "\"alibi\":true", "\"alibi\":false", "has 'alibi' = false; this layer does true alone")]
    [InlineData("MPT", "\"prefix_lm\":false", "\"prefix_lm\":true", "has 'prefix_lm' = true")]
    [InlineData("MPT", "\"qk_ln\":false", "\"qk_ln\":true", "has 'qk_ln' = true")]
    [InlineData("MPT", "\"clip_qkv\":null", "\"clip_qkv\":6", "has 'clip_qkv' = 6")]
    [InlineData("MPT", "multihead_attention", "multiquery_attention", "this layer does \"multihead_attention\" alone")]
    [InlineData("MPT", "\"alibi\":true", "\"n_heads\":4", "has 'n_heads' twice, beside and in 'attn_config'")]
    [InlineData("timm's ViT", "vit_small", "vit_srelpos_small", "of timm's, vit_SIZE_patchN and deit_SIZE_patchN are known")]
    [InlineData("timm's ViT", "\"img_size\":224", "\"num_heads\":4", "has 'num_heads' = 4")]
    [InlineData("Gemma 3 with images, text", "\"vision_config\"", "\"vision\"", "has no object 'vision_config'")]
    [InlineData("Gemma 3 with images, text", "\"model_type\":\"gemma3_text\"", "\"model_type\":\"new\"", "'text_config' of '")]
    [InlineData("Phi-3, LongRoPE, short", "[1.0,1.1,1.2,1.3]", "[1.0,1.1,1.2]", "number of short divisors must be 4")]
    [InlineData("Phi-3, LongRoPE, short", "[1.0,1.1,1.2,1.3]", "[1.0,0,1.2,1.3]", "short divisors must be finite and more than 0")]
    [InlineData("Phi-3, LongRoPE, short", "[1.0,1.1,1.2,1.3]", "[1.0,\"a\",1.2,1.3]", "its elements must be numbers")]
    [InlineData("Phi-3, LongRoPE, short", "\"max_position_embeddings\":64,", "", "has no 'max_position_embeddings'")]
    [InlineData("Phi-3, LongRoPE, short", "\"original_max_position_embeddings\":16", "\"original_max_position_embeddings\":-16", "'original_max_position_embeddings' = -16")]
    [InlineData("Llama 2", "{\"model_type\"", "{\"\\ud800\":1,\"model_type\"", "is no valid JSON: ")]
    [InlineData("Llama 2", "\"TYPE\"", "\"\\ud800\"", "is no valid JSON: ")]
    [InlineData("Llama 2", "\"TYPE\"", "7", "has 'model_type' = 7; it must be a text")]
    [InlineData("SAM, mask decoder", "\"mask_decoder_config\":{\"model_type\":\"\"", "\"mask_decoder_config\":{\"model_type\":true", "has 'model_type' = true; it must be a text")]
    [InlineData("Llama, dynamic NTK", "\"max_position_embeddings\":4,", "", "has no 'max_position_embeddings'")]
    public void A_configuration_that_contradicts_the_file_or_is_not_done_is_an_error(string name, string part, string other, string message)
    {
        PublishedModel published = PublishedModels.All[name];
        Assert.Contains(part, published.Json, StringComparison.Ordinal);
        (published with { Json = published.Json.Replace(part, other, StringComparison.Ordinal) })
            .Write(_folder, published.Types[0], published.Call(3, length: 5).Weights);
        AssertError<InvalidDataException>(message, () => AttentionModel.Open(_folder));
    }

    private static void AssertError<T>(string message, Action action)
        where T : Exception
    {
        T exception = Assert.Throws<T>(action);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', exception.Message);
    }
}
