using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting.Tests;

/// <summary>Layers of options by a model's folder, with a number or a prefix.</summary>
public sealed class ModelLayerTests : IDisposable
{
    private const int Tokens = 6;

    private static readonly PublishedModel _llama = PublishedModels.All["Llama 2"];
    private static readonly PublishedModel _encoder = PublishedModels.All["encoder and decoder: encoder"];
    private static readonly PublishedModel _decoder = PublishedModels.All["encoder and decoder: decoder"];
    private static readonly PublishedModel _cross = PublishedModels.All["encoder and decoder: cross-attention"];

    private readonly string _folder = Directory.CreateTempSubdirectory("attention-").FullName;
    private readonly LayerCall _call = _llama.Call(seed: 5, Tokens);

    public ModelLayerTests() => _llama.Write(_folder, "llama", _call.Weights);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_layer_of_a_model_is_its_number_or_its_prefix()
    {
        await using AttentionService service = Fixture.Create(new()
        {
            Device = "simd",
            Layers =
            {
                ["number"] = new() { Model = _folder, Layer = 3 },
                ["part"] = new() { Model = _folder, Layer = 3, Stack = ModelStack.Decoder },
                ["prefix"] = new() { Model = Path.Combine(_folder, "model.safetensors"), Prefix = "model.layers.3.self_attn" },
            },
        });
        Assert.Equal(3, service.Layers.Count);
        foreach (IAttentionLayer layer in service.Layers.Values)
            await AssertComputesAsync(layer, _call, null);
    }

    [Fact]
    public async Task A_request_that_does_not_say_it_is_causal_where_the_model_is()
    {
        LayerCall encoder = _encoder.Call(1, Tokens);
        WriteEncoderAndDecoder(encoder);
        await using AttentionService service = Fixture.Create(new()
        {
            Device = "simd",
            Layers =
            {
                ["encoder"] = new() { Model = _folder, Layer = 1, Stack = ModelStack.Encoder },
                ["decoder"] = new() { Model = _folder, Layer = 1, Stack = ModelStack.Decoder },
            },
        });
        Assert.Equal((Causal.None, Causal.TopLeft), (service.Layers["encoder"].Causal, service.Layers["decoder"].Causal));
        await AssertComputesAsync(service.Layers["encoder"], encoder, null);
        await AssertComputesAsync(service.Layers["encoder"], encoder, Causal.TopLeft);
        foreach (Causal? causal in new Causal?[] { null, Causal.None, Causal.BottomRight })
            await AssertComputesAsync(service.Layers["decoder"], _decoder.Call(2, Tokens), causal);
    }

    [Fact]
    public async Task A_causal_models_layer_has_sessions_and_an_encoders_is_refused_them()
    {
        LayerCall encoder = _encoder.Call(1, Tokens);
        WriteEncoderAndDecoder(encoder);
        var options = new AttentionServiceOptions
        {
            Device = "simd",
            Layers = { ["layer"] = new() { Model = _folder, Layer = 1, Stack = ModelStack.Decoder, Cache = new() { Pages = 8 } } },
        };
        await using (AttentionService service = Fixture.Create(options))
            Assert.Equal(8, service.Layers["layer"].Sessions!.FreePages);
        options.Layers["layer"].Stack = ModelStack.Encoder;
        InvalidDataException refused = Assert.Throws<InvalidDataException>(() => Fixture.Create(options));
        Assert.Contains("The layer 'layer' cannot be loaded", refused.Message, StringComparison.Ordinal);
        Assert.Contains("tokens see those behind them", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_mapping_describes_a_model_that_is_not_known()
    {
        PublishedModel opt = PublishedModels.All["OPT"];
        LayerCall call = opt.Call(4, Tokens);
        opt.Write(_folder, "nonesuch", call.Weights);
        string mapping = Path.Combine(_folder, "mapping.json");
        string prefix = opt.Prefix[..^1].Replace($".{opt.Index}.", ".N.", StringComparison.Ordinal);
        await File.WriteAllTextAsync(
            mapping, $$"""{"layers":[{"prefix":"{{prefix}}","stack":"decoder","causal":true,"num_attention_heads":4}]}""", Token);
        await using AttentionService service = Fixture.Create(
            new() { Device = "simd", Layers = { ["one"] = new() { Model = _folder, Mapping = mapping, Layer = opt.Index } } });
        await AssertComputesAsync(service.Layers["one"], call, null);
    }

    [Fact]
    public async Task A_layer_without_a_model_is_not_causal_unless_a_request_says_it()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd" });
        IAttentionLayer layer = service.AddLayer<float>("own", _call.Config, _call.Weights);
        Assert.Equal(Causal.None, layer.Causal);
        LayerCall call = _call with { Causal = Causal.None, Rotary = null };
        await AssertComputesAsync(layer, call, null);
        await AssertComputesAsync(layer, call, Causal.TopLeft);
    }

    [Theory]
    [InlineData("F16", null, "Half")]
    [InlineData("BF16", null, "BFloat16")]
    [InlineData("BF16", "float32", "Single")]
    [InlineData("F16", "BFloat16", "BFloat16")]
    public async Task A_layer_has_the_elements_of_its_file_unless_others_are_asked_for(string stored, string? asked, string type)
    {
        Dictionary<string, Tensor<float>> tensors = _llama.Tensors(_call.Weights);
        string file = Path.Combine(_folder, "model.safetensors");
        if (stored == "F16")
            SafetensorsFile.Write(file, tensors.ToDictionary(pair => pair.Key, pair => Convert(pair.Value, value => (Half)value)));
        else
            SafetensorsFile.Write(file, tensors.ToDictionary(pair => pair.Key, pair => Convert(pair.Value, value => (BFloat16)value)));
        await using AttentionService service = Fixture.Create(new()
        {
            Device = "simd",
            Layers =
            {
                ["model"] = new() { Model = _folder, Layer = 3, ElementType = asked },
                ["file"] = new() { Path = file, Prefix = "model.layers.3.self_attn", ElementType = asked },
            },
        });
        Assert.All(service.Layers.Values, layer => Assert.Equal(type, layer.ElementType.Name));
        using var model = AttentionModel.Open(_folder);
        LayerCall call = _call with { Weights = model.ReadLayer(model.Layers[0]).Weights };
        foreach (IAttentionLayer layer in service.Layers.Values)
        {
            await (type switch
            {
                "Half" => AssertComputesAsync<Half>(layer, call with { Element = ElementForm.F16 }, Causal.TopLeft, 2e-3),
                "BFloat16" => AssertComputesAsync<BFloat16>(layer, call with { Element = ElementForm.BF16 }, Causal.TopLeft, 1e-2),
                _ => AssertComputesAsync(layer, call, Causal.TopLeft),
            });
        }
    }

    [Fact]
    public async Task A_layer_of_a_model_moves_to_the_fallback_without_its_files()
    {
        var device = new FaultyBackend();
        await using AttentionService service = Fixture.CreateOn(
            device, new() { Device = "faulty", FallbackDevice = "reference", Layers = { ["one"] = new() { Model = _folder, Layer = 3 } } });
        File.Delete(Path.Combine(_folder, "model.safetensors"));
        device.FailOn(Tokens);
        await AssertComputesAsync(service.Layers["one"], _call, null);
        Assert.True(service.UsesFallback);
    }

    [Theory]
    [InlineData("Path of the layer 'x' must be left out beside its Model", "Layer=3", "Path=w.safetensors")]
    [InlineData("Heads of the layer 'x' must be left out beside its Model", "Layer=3", "Heads=4")]
    [InlineData("KeyValueHeads of the layer 'x' must be left out beside its Model", "Layer=3", "KeyValueHeads=4")]
    [InlineData("Positions of the layer 'x' must be left out beside its Model", "Layer=3", "Positions=None")]
    [InlineData("Rotary of the layer 'x' must be left out beside its Model", "Layer=3", "Rotary:Base=10")]
    [InlineData("Window of the layer 'x' must be left out beside its Model", "Layer=3", "Window=10")]
    [InlineData("Softcap of the layer 'x' must be left out beside its Model", "Layer=3", "Softcap=10")]
    [InlineData("Scale of the layer 'x' must be left out beside its Model", "Layer=3", "Scale=10")]
    [InlineData("NormEpsilon of the layer 'x' must be left out beside its Model", "Layer=3", "NormEpsilon=1")]
    [InlineData("Layer or Prefix of the layer 'x' must be given beside its Model.")]
    [InlineData("Prefix of the layer 'x' must be left out where its Layer is given.", "Layer=3", "Prefix=model.layers.3.self_attn")]
    [InlineData("Stack of the layer 'x' must be left out where its Prefix is given.", "Stack=Decoder", "Prefix=model.layers.3.self_attn")]
    [InlineData("Layer of the layer 'x' must be at least 0; it was -1.", "Layer=-1")]
    [InlineData("Stack of the layer 'x' must be Encoder, Decoder, Text, Vision; it was 9.", "Layer=3", "Stack=9")]
    [InlineData("ElementType of the layer 'x' must be float32, float16, bfloat16; it was 'int8'.", "Layer=3", "ElementType=int8")]
    [InlineData("Layer of the layer 'x' needs its Model.", "Model=", "Path=w.safetensors", "Layer=3")]
    [InlineData("Mapping of the layer 'x' needs its Model.", "Model=", "Path=w.safetensors", "Mapping=m.json")]
    [InlineData("Stack of the layer 'x' needs its Model.", "Model=", "Path=w.safetensors", "Stack=Decoder")]
    [InlineData("Path or Model of the layer 'x' must be given.", "Model=")]
    public async Task Options_of_a_model_that_contradict_each_other_stop_the_start(string message, params string[] settings)
    {
        OptionsValidationException exception = await Assert.ThrowsAsync<OptionsValidationException>(() => StartAsync(settings));
        Assert.StartsWith(message, Assert.Single(exception.Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("There is no self-attention 2", "Layer=2")]
    [InlineData("There is no self-attention 3 in the encoder", "Layer=3", "Stack=Encoder")]
    [InlineData("There is no attention layer 'model.layers.2.self_attn'", "Prefix=model.layers.2.self_attn")]
    [InlineData("The folder '", "Layer=3", "Model=EMPTY")]
    [InlineData("Could not find file '", "Layer=3", "Model=NOWHERE")]
    [InlineData("The stack must be given, because several have a self-attention 1", "Layer=1", "Model=WHISPER")]
    [InlineData("'model.decoder.layers.1.encoder_attn' is cross-attention; a service attends within a sequence.", "Prefix=model.decoder.layers.1.encoder_attn", "Model=WHISPER")]
    public async Task A_layer_that_the_model_does_not_have_stops_the_start(string message, params string[] settings)
    {
        Directory.CreateDirectory(Path.Combine(_folder, "EMPTY"));
        if (settings[^1] == "Model=WHISPER")
            WriteEncoderAndDecoder(_encoder.Call(1, Tokens));
        InvalidDataException exception = await Assert.ThrowsAsync<InvalidDataException>(() => StartAsync(settings));
        Assert.StartsWith("The layer 'x' cannot be loaded from '", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"': {message}", exception.Message, StringComparison.Ordinal);
    }

    private async Task StartAsync(string[] settings)
    {
        var values = new Dictionary<string, string?> { ["Attention:Device"] = "simd", ["Attention:Layers:x:Model"] = _folder };
        foreach (string[] setting in settings.Select(setting => setting.Split('=')))
        {
            values[$"Attention:Layers:x:{setting[0]}"] = setting switch
            {
                ["Model", ""] => "",
                ["Model", "WHISPER"] => _folder,
                ["Model", string name] => Path.Combine(_folder, name),
                _ => setting[1],
            };
        }

        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddInMemoryCollection(values);
        builder.Services.AddAttention().BindConfiguration("Attention");
        using IHost host = builder.Build();
        await host.StartAsync(Token);
    }

    private void WriteEncoderAndDecoder(LayerCall encoder)
    {
        _decoder.Write(_folder, "whisper", _decoder.Call(2, Tokens).Weights);
        SafetensorsFile.Write(
            Path.Combine(_folder, "model.safetensors"),
            new Dictionary<string, Tensor<float>>(
            [
                .. _encoder.Tensors(encoder.Weights), .. _decoder.Tensors(_decoder.Call(2, Tokens).Weights),
                .. _cross.Tensors(_cross.Call(3, Tokens).Weights),
            ]));
    }

    private static Task AssertComputesAsync(IAttentionLayer layer, LayerCall call, Causal? causal) =>
        AssertComputesAsync<float>(layer, call, causal, Close.Tolerance);

    // One sequence of the call's batch.
    private static async Task AssertComputesAsync<T>(IAttentionLayer layer, LayerCall call, Causal? causal, double tolerance)
        where T : unmanaged
    {
        int size = call.Config.EmbeddingSize;
        float[] numbers = Data.Flat(call.Query)[..(Tokens * size)];
        T[] input = ElementArrays.Round<T>(numbers);
        var output = new T[input.Length];
        await layer.ForwardAsync<T>(input, output, new ForwardOptions { Causal = causal }, Token);
        LayerCall expected = call with { Query = Tensor.Create(numbers, [1, Tokens, size]), Causal = causal ?? call.Causal };
        Close.Assert(Data.Flat(LayerDefinition.Run(expected).Output), ElementArrays.Widen(output), $"{call}, {causal}", tolerance);
    }

    private static Tensor<T> Convert<T>(Tensor<float> tensor, Converter<float, T> convert) =>
        Tensor.Create(Array.ConvertAll(Data.Flat(tensor), convert), tensor.Lengths);
}
