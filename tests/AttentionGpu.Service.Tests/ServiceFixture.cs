using System.Net.Http.Json;
using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;

namespace AttentionGpu.Service.Tests;

/// <summary>The service on a port of its own, with its demo layer, and what that layer gives alone.</summary>
public sealed class ServiceFixture : WebApplicationFactory<Program>
{
    public const int Embedding = 512;
    public const int MaxBodyBytes = 2 << 20;

    private readonly AttentionEngine _engine = new("reference");
    private readonly MultiHeadAttention<float> _layer;

    public ServiceFixture()
    {
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 8 };
        _layer = new MultiHeadAttention<float>(_engine, config, MultiHeadAttentionWeights.Random(config, seed: 1));
        UseKestrel(0);
        StartServer();
        Client = CreateClient();
    }

    public HttpClient Client { get; }

    internal static JsonSerializerOptions Json { get; } = CreateJson();

    public static float[][] Input(int tokens, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, tokens).Select(_ => Enumerable.Range(0, Embedding).Select(_ => random.NextSingle() - 0.5f).ToArray())];
    }

    /// <summary>An input as the body of a request.</summary>
    public static byte[] Safetensors(float[][] input)
    {
        using var body = new MemoryStream();
        SafetensorsFile.Write(body, new Dictionary<string, Tensor<float>>
        {
            [SafetensorsBody.Input] = Tensor.Create(input.SelectMany(row => row).ToArray(), [input.Length, Embedding]),
        });
        return body.ToArray();
    }

    public float[] Expected(float[][] input, bool causal = false)
    {
        nint[] lengths = [1, input.Length, Embedding];
        var output = new float[input.Length * Embedding];
        _layer.Forward(
            new ReadOnlyTensorSpan<float>([.. input.SelectMany(row => row)], lengths), new TensorSpan<float>(output, lengths),
            causal ? Causal.TopLeft : Causal.None);
        return output;
    }

    internal async Task<HttpResponseMessage> PostAsync(AttentionRequest request, CancellationToken token) =>
        await Client.PostAsJsonAsync("/v1/attention", request, Json, token);

    internal async Task AssertAnswersAsync(int tokens, int seed, CancellationToken token)
    {
        float[][] input = Input(tokens, seed);
        using HttpResponseMessage response = await PostAsync(new AttentionRequest(input), token);
        AttentionResponse answer = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<AttentionResponse>(Json, token))!;
        Close.Assert(Expected(input), [.. answer.Output.SelectMany(row => row)], "output");
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("Attention:Device", "simd");
        builder.UseSetting("Service:MaxBodyBytes", $"{MaxBodyBytes}");

        // All clients of tests have one address.
        builder.UseSetting("RateLimits:RequestsPerSecond", "0");
        builder.UseSetting("RateLimits:ConcurrentRequestsPerClient", "0");
    }

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (!disposing)
            return;
        _layer.Dispose();
        _engine.Dispose();
    }

    private static JsonSerializerOptions CreateJson()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web);
        ServiceJson.Configure(options);
        return options;
    }
}
