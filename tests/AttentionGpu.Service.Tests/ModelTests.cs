using System.Net.Http.Json;
using System.Numerics.Tensors;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;
using Microsoft.AspNetCore.Mvc.Testing;

namespace AttentionGpu.Service.Tests;

/// <summary>The service with a layer of a model's folder, as its settings name it.</summary>
public sealed class ModelTests : IDisposable
{
    private const int Tokens = 5;

    private static readonly PublishedModel _llama = PublishedModels.All["Llama 2"];

    private readonly string _folder = Directory.CreateTempSubdirectory("attention-").FullName;
    private readonly LayerCall _call = _llama.Call(seed: 5, Tokens);
    private readonly WebApplicationFactory<Program> _service;

    public ModelTests()
    {
        string model = Path.Combine(_folder, "Small-Llama");
        Directory.CreateDirectory(model);
        _llama.Write(model, "llama", _call.Weights);
        _service = new WebApplicationFactory<Program>().WithWebHostBuilder(builder =>
        {
            foreach ((string setting, string value) in new[]
            {
                ("Attention:Device", "simd"), ("Attention:Layers:number:Model", model), ("Attention:Layers:number:Layer", "3"),
                ("Attention:Layers:part:Model", model + "/"), ("Attention:Layers:part:Layer", "3"), ("Attention:Layers:part:Stack", "Decoder"),
                ("Attention:Layers:prefix:Model", model), ("Attention:Layers:prefix:Prefix", "model.layers.3.self_attn"),
                ("Logging:LogLevel:Default", "None"), ("Logging:LogLevel:Microsoft.AspNetCore", "None"),
            })
            {
                builder.UseSetting(setting, value);
            }
        });
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _service.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task The_list_of_layers_has_the_model_and_the_layer_but_not_the_path()
    {
        using HttpClient client = _service.CreateClient();
        const string sizes = "\"embeddingSize\":32,\"heads\":4,\"keyValueHeads\":2,\"elementType\":\"float32\",\"causal\":true";
        string json = await client.GetStringAsync("/v1/layers", Token);
        foreach ((string name, string layer) in new[] { ("number", "3"), ("part", "decoder 3"), ("prefix", "model.layers.3.self_attn") })
        {
            Assert.Contains(
                $"{{\"name\":\"{name}\",{sizes},\"model\":\"Small-Llama\",\"modelLayer\":\"{layer}\"}}", json, StringComparison.Ordinal);
        }

        Assert.DoesNotContain(_folder, json, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_request_is_causal_where_the_model_is_unless_it_says_otherwise(bool? causal)
    {
        using HttpClient client = _service.CreateClient();
        float[] numbers = Data.Flat(_call.Query)[..(Tokens * 32)];
        float[][] input = [.. numbers.Chunk(32)];
        LayerCall expected = _call with
        {
            Query = Tensor.Create(numbers, [1, Tokens, 32]),
            Causal = causal == false ? Causal.None : Causal.TopLeft,
        };
        using HttpResponseMessage answer = await client.PostAsJsonAsync(
            "/v1/attention", new AttentionRequest(input, "number", causal), ServiceFixture.Json, Token);
        AttentionResponse response = (await answer.Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, Token))!;
        Close.Assert(Data.Flat(LayerDefinition.Run(expected).Output), [.. response.Output.SelectMany(row => row)], $"causal: {causal}");
    }
}
