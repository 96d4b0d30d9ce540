using System.Numerics.Tensors;
using System.Text.Json;
using System.Text.RegularExpressions;
using AttentionGpu.Cli.Output;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary><c>attention inspect</c> and <c>attention run --model</c>, on small models.</summary>
public sealed class ModelCommandTests : IDisposable
{
    private static readonly PublishedModel _encoder = PublishedModels.All["encoder and decoder: encoder"];
    private static readonly PublishedModel _decoder = PublishedModels.All["encoder and decoder: decoder"];
    private static readonly PublishedModel _cross = PublishedModels.All["encoder and decoder: cross-attention"];

    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<PublishedModel, LayerCall> _calls = [];

    public ModelCommandTests()
    {
        var tensors = new Dictionary<string, Tensor<float>>();
        foreach (PublishedModel part in new[] { _encoder, _decoder, _cross })
        {
            _calls[part] = part.Call(seed: _calls.Count, length: 6);
            foreach ((string name, Tensor<float> tensor) in part.Tensors(_calls[part].Weights))
                tensors.Add(name, tensor);
        }

        _decoder.Write(_folder[""], "whisper", _calls[_decoder].Weights);
        SafetensorsFile.Write(_folder["model.safetensors"], tensors);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("encoder", false)]
    [InlineData("decoder", false)]
    [InlineData("cross", false)]
    [InlineData("encoder", true)]
    [InlineData("cross", true)]
    public void Run_computes_a_layer_of_a_model(string part, bool byPrefix)
    {
        PublishedModel published = part == "encoder" ? _encoder : part == "decoder" ? _decoder : _cross;
        LayerCall call = _calls[published];
        Write("x.safetensors", call.Query);
        Write("c.safetensors", call.Key ?? call.Query);
        string[] layer = byPrefix ? [published.Prefix] : ["1", .. part == "cross" ? (string[])["--cross"] : ["--stack", part]];
        string[] context = part == "cross" ? ["--context", _folder["c.safetensors"]] : [];
        Succeed(
        [
            "run", "--model", _folder[""], "--layer", .. layer, .. context, "--input", _folder["x.safetensors"], "--device", "simd", "--output",
            _folder["y.safetensors"],
        ]);
        using var file = SafetensorsFile.Open(_folder["y.safetensors"]);
        Close.Assert(LayerDefinition.Run(call).Output, file.Read("y"), part);
    }

    [Theory]
    [InlineData("The stack must be given", "--model", "MODEL", "--layer", "1")]
    [InlineData("--layer must be given beside --model", "--model", "MODEL")]
    [InlineData("--weights must be left out beside --model", "--model", "MODEL", "--layer", "1", "--weights", "w.safetensors")]
    [InlineData("--heads must be left out beside --model", "--model", "MODEL", "--layer", "1", "--heads", "4")]
    [InlineData("--causal must be left out beside --model", "--model", "MODEL", "--layer", "1", "--causal")]
    [InlineData("--rotary must be left out beside --model", "--model", "MODEL", "--layer", "1", "--rotary", "none")]
    [InlineData("--layer needs --model", "--weights", "w.safetensors", "--heads", "4", "--layer", "1")]
    [InlineData("--cross needs --model", "--weights", "w.safetensors", "--heads", "4", "--cross")]
    [InlineData("'heads' must be given (--heads of the command line): there is no", "--weights", "ALONE", "--rotary", "none")]
    [InlineData("--model or --weights must be given")]
    [InlineData("--layer must be given", "--model", "MODEL", "--layer", "")]
    [InlineData("There is no attention layer 'model.encoder.layers.0.self_attn'", "--model", "MODEL", "--layer", "model.encoder.layers.0.self_attn")]
    [InlineData("'model.decoder.layers.1.encoder_attn'", "--model", "MODEL", "--layer", "1.self_attn")]
    [InlineData(
        "--stack must be left out where --layer is a prefix", "--model", "MODEL", "--layer", "model.encoder.layers.1.self_attn", "--stack",
        "encoder")]
    [InlineData("--context must be given: keys and values", "--model", "MODEL", "--layer", "model.decoder.layers.1.encoder_attn")]
    [InlineData("--context must be given: keys and values", "--model", "MODEL", "--layer", "1", "--cross")]
    [InlineData("--context must be left out: the model's layer is self-attention", "--model", "MODEL", "--layer", "1", "--stack", "decoder", "--context", "c.safetensors")]
    [InlineData("There is no self-attention 0", "--model", "MODEL", "--layer", "0")]
    [InlineData("There is no self-attention -1", "--model", "MODEL", "--layer", "-1")]
    [InlineData("middle", "--model", "MODEL", "--layer", "1", "--stack", "middle")]
    [InlineData("nowhere", "--model", "nowhere", "--layer", "1")]
    public void Options_that_are_missing_or_contradict_each_other_are_refused(string message, params string[] options) =>
        Assert.Contains(message, Fail(options), StringComparison.Ordinal);

    [Fact]
    public void Layers_of_one_number_and_part_are_told_by_their_prefix()
    {
        PublishedModel[] parts = [PublishedModels.All["SAM, tokens to image"], PublishedModels.All["SAM, image to tokens"]];
        LayerCall[] calls = [.. parts.Select((part, index) => part.Call(index, length: 5))];
        parts[0].Write(_folder[""], "sam", calls[0].Weights);
        SafetensorsFile.Write(
            _folder["model.safetensors"],
            new Dictionary<string, Tensor<float>>([.. parts.SelectMany((part, index) => part.Tensors(calls[index].Weights))]));
        Assert.Contains(
            $"A prefix must be given in place of the number {parts[0].Index}, which several layers have: '{parts[0].Prefix[..^1]}', "
            + $"'{parts[1].Prefix[..^1]}'.",
            Fail("--model", "MODEL", "--layer", $"{parts[0].Index}", "--cross"), StringComparison.Ordinal);
        for (int i = 0; i < 2; i++)
        {
            Assert.Contains(
                LayerGroup.Pattern(parts[i].Prefix[..^1], parts[i].Index), Succeed("inspect", _folder[""]), StringComparison.Ordinal);
            Write("x.safetensors", calls[i].Query);
            Write("c.safetensors", calls[i].Key!);
            Succeed(
                "run", "--model", _folder[""], "--layer", parts[i].Prefix[..^1], "--input", _folder["x.safetensors"], "--context",
                _folder["c.safetensors"], "--output", _folder["y.safetensors"]);
            using var file = SafetensorsFile.Open(_folder["y.safetensors"]);
            Close.Assert(LayerDefinition.Run(calls[i]).Output, file.Read("y"), parts[i].Prefix);
        }

        Assert.Contains("Not computed: 'vision_config': ", Succeed("inspect", _folder[""]), StringComparison.Ordinal);
    }

    [Fact]
    public void Demo_shows_the_heads_of_the_configuration()
    {
        using var document = JsonDocument.Parse(
            Succeed("demo", "--weights", _folder["model.safetensors"], "--prefix", _decoder.Prefix, "--device", "simd", "--json"));
        Assert.Equal(8, document.RootElement.GetProperty("sentences")[0].GetProperty("heads").GetArrayLength());
    }

    [Fact]
    public void A_mapping_describes_a_model_that_is_not_known()
    {
        File.WriteAllText(_folder["config.json"], """{"model_type":"nonesuch"}""");
        File.WriteAllText(
            _folder["mapping.json"],
            """{"layers":[{"prefix":"model.decoder.layers.N.self_attn","stack":"decoder","causal":true,"num_attention_heads":8}]}""");
        string[] mapping = ["--mapping", _folder["mapping.json"]];
        Assert.Contains("\n1 attention layers in ", Succeed(["inspect", _folder[""], .. mapping]), StringComparison.Ordinal);
        using (var document = JsonDocument.Parse(Succeed(["inspect", _folder[""], .. mapping, "--json"])))
            Assert.False(document.RootElement.TryGetProperty("modelType", out _));
        Write("x.safetensors", _calls[_decoder].Query);
        string[] run = ["run", "--model", _folder[""], .. mapping, "--layer", "1", "--input", _folder["x.safetensors"], "--output"];
        Succeed([.. run, _folder["y.safetensors"]]);
        using var file = SafetensorsFile.Open(_folder["y.safetensors"]);
        Close.Assert(LayerDefinition.Run(_calls[_decoder]).Output, file.Read("y"), "mapping");
        Assert.Contains("an input is not overwritten", InProcess.Fail(2, [.. run, _folder["mapping.json"]]), StringComparison.Ordinal);
        Assert.Contains("--mapping needs --model", InProcess.Fail(2, ["run", "--weights", "w.safetensors", .. run[3..], "y.npy"]), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.safetensors")]
    [InlineData("config.json")]
    public void A_file_of_the_model_is_not_overwritten(string file)
    {
        byte[] before = File.ReadAllBytes(_folder[file]);
        Write("x.safetensors", _calls[_encoder].Query);
        string error = InProcess.Fail(
            2, "run", "--model", _folder[""], "--layer", "1", "--stack", "encoder", "--input", _folder["x.safetensors"], "--output", _folder[file]);
        Assert.Contains("an input is not overwritten", error, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(_folder[file]));
    }

    [Fact]
    public void Inspect_lists_layers_in_a_table()
    {
        string output = Succeed("inspect", _folder[""]);
        foreach (string text in new[]
        {
            "encoder 1", "decoder 1", "decoder 1 cross", "float32", "causal", "whisper: 3 attention layers in ",
            "  encoder 1: model.encoder.layers.N.self_attn\n", "  decoder 1 cross: model.decoder.layers.N.encoder_attn\n",
        })
        {
            Assert.Contains(text, output, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Layers_that_differ_in_their_number_alone_are_one_row()
    {
        PublishedModel gemma = PublishedModels.All["Gemma 2, window"];
        MultiHeadAttentionWeights weights = gemma.Call(seed: 1, length: 4).Weights;
        gemma.Write(_folder[""], "gemma2", weights);
        var tensors = new Dictionary<string, Tensor<float>>();
        foreach (int layer in new[] { 0, 1, 2, 3, 10, 12, 13 })
        {
            foreach ((string name, Tensor<float> tensor) in gemma.Tensors(weights))
                tensors.Add(Regex.Replace(name, @"\.[0-9]+\.", $".{layer}."), tensor);
        }

        SafetensorsFile.Write(_folder["model.safetensors"], tensors);
        string output = Succeed("inspect", _folder[""]);
        Assert.Matches("│ decoder 0, 2, 10, +│[^\n]*\n│ 12 ", output);
        Assert.Matches("│ decoder 1, 3, 13 +│", output);
        Assert.Contains("  decoder 0-3, 10, 12-13: model.layers.N.self_attn\n", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nowhere", "Could not find file '")]
    [InlineData("empty", "has none of 'model.safetensors', 'model.safetensors.index.json', 'model.onnx', 'onnx/model.onnx'. It has: no ")]
    [InlineData("alone", "config.json', which says what the layers of '")]
    [InlineData("gguf", "It has: model.gguf. GGUF models are not read.")]
    [InlineData("gguf/model.gguf", "model.gguf' is no safetensors file: it is a GGUF model.")]
    [InlineData("config.json", "config.json' is no safetensors file: it is JSON text.")]
    public void Inspect_refuses_what_is_no_model_in_one_line(string path, string message)
    {
        Alone();
        Directory.CreateDirectory(_folder["empty"]);
        Directory.CreateDirectory(_folder["gguf"]);
        File.WriteAllBytes(_folder["gguf/model.gguf"], [.. "GGUF"u8, .. new byte[100]]);
        foreach (string[] options in new string[][] { [], ["--json"] })
            Assert.Contains(message, InProcess.Fail(2, ["inspect", _folder[path], .. options]), StringComparison.Ordinal);
    }

    [Fact]
    public void Inspect_lists_layers_as_JSON()
    {
        using var document = JsonDocument.Parse(Succeed("inspect", _folder["model.safetensors"], "--json"));
        JsonElement root = document.RootElement;
        Assert.Equal("whisper", root.GetProperty("modelType").GetString());
        Assert.Equal(
            [
                ("encoder", false, false, 4, "model.encoder.layers.1.self_attn"),
                ("decoder", false, true, 8, "model.decoder.layers.1.self_attn"),
                ("decoder", true, false, 8, "model.decoder.layers.1.encoder_attn"),
            ],
            root.GetProperty("layers").EnumerateArray().Select(layer => (
                layer.GetProperty("stack").GetString()!, layer.GetProperty("cross").GetBoolean(), layer.GetProperty("causal").GetBoolean(),
                layer.GetProperty("heads").GetInt32(), layer.GetProperty("prefix").GetString()!)));
        JsonElement first = root.GetProperty("layers")[0];
        Assert.Equal(
            (1, 4, 8, 32, 32, "float32", ""),
            (first.GetProperty("index").GetInt32(), first.GetProperty("keyValueHeads").GetInt32(), first.GetProperty("headSize").GetInt32(),
                first.GetProperty("embeddingSize").GetInt32(), first.GetProperty("keySize").GetInt32(),
                first.GetProperty("elementType").GetString()!, first.GetProperty("variant").GetString()!));
    }

    [Fact]
    public void Inspect_names_the_architectures_that_are_known()
    {
        File.WriteAllText(_folder["config.json"], """{"model_type":"nonesuch"}""");
        string error = InProcess.Fail(2, "inspect", _folder[""]);
        Assert.Contains("'nonesuch', which is not one of those whose layers are known: bart, bert, ", error, StringComparison.Ordinal);
    }

    private string Fail(params string[] options)
    {
        Write("x.safetensors", _calls[_encoder].Query);
        string error = InProcess.Fail(
            2,
            [
                "run", .. options.Select(option => option == "MODEL" ? _folder[""] : option == "ALONE" ? Alone() : option), "--input", _folder["x.safetensors"], "--output",
                _folder["y.safetensors"],
            ]);
        Assert.False(File.Exists(_folder["y.safetensors"]), "Something was written.");
        return error;
    }

    // A layer without a configuration.
    private string Alone()
    {
        Directory.CreateDirectory(_folder["alone"]);
        string path = Path.Combine(_folder["alone"], "model.safetensors");
        SafetensorsFile.Write(
            path, _encoder.Tensors(_calls[_encoder].Weights).ToDictionary(pair => pair.Key[_encoder.Prefix.Length..], pair => pair.Value));
        return path;
    }

    private static string Succeed(params string[] arguments)
    {
        CliResult result = InProcess.Run(arguments);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }

    private void Write(string file, Tensor<float> tensor) =>
        SafetensorsFile.Write(_folder[file], new Dictionary<string, Tensor<float>> { ["x"] = tensor });
}
