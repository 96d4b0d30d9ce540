using System.Diagnostics.Metrics;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Numerics.Tensors;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace AttentionGpu.Service.Tests;

/// <summary>The service with small limits, and a small layer on a device that fails or waits on demand.</summary>
public sealed class SmallService : WebApplicationFactory<Program>
{
    public const int Embedding = 8;
    public const int Heads = 2;
    public const int MaxTokens = 6;
    public const int MaxWeightTokens = 4;

    private static readonly MultiHeadAttentionConfig _config = new() { EmbeddingSize = Embedding, Heads = Heads, KeyValueHeads = 1 };
    private static readonly MultiHeadAttentionWeights _weights = MultiHeadAttentionWeights.Random(_config, seed: 1);
    private static readonly AttentionEngine _engine = new("reference");

    private HttpClient? _client;

    /// <summary>The attention service's options; those of its host are others.</summary>
    public AttentionServiceOptions Options { get; } = new() { Device = "faulty" };

    /// <summary>Seconds in which a body must come; null for the service's own.</summary>
    public int? TransferSeconds { get; init; }

    public HttpClient Client => _client ??= CreateClient();

    public IAttentionService Attention => Services.GetRequiredService<IAttentionService>();

    internal FaultyBackend Device { get; } = new();

    public static float[][] Input(int tokens, int seed = 1)
    {
        var random = new Random(seed);
        return
        [
            .. Enumerable.Range(0, tokens).Select(_ => Enumerable.Range(0, Embedding).Select(_ => random.NextSingle() - 0.5f).ToArray()),
        ];
    }

    public static Tensor<float> Tensor(float[][] input) =>
        System.Numerics.Tensors.Tensor.Create(input.SelectMany(row => row).ToArray(), [input.Length, Embedding]);

    /// <summary>The layer's output and weights for a request alone.</summary>
    public static (float[] Output, float[] Weights) Expected(float[][] input, bool causal) =>
        Expected<float>([.. input.SelectMany(row => row)], causal);

    /// <summary>The output and weights of the layer in an element type, as float32.</summary>
    public static (float[] Output, float[] Weights) Expected<T>(T[] input, bool causal)
        where T : unmanaged
    {
        int tokens = input.Length / Embedding;
        nint[] lengths = [1, tokens, Embedding];
        T[] output = ElementArrays.Poisoned<T>(input.Length);
        T[] weights = ElementArrays.Poisoned<T>(Heads * tokens * tokens);
        using var layer = new MultiHeadAttention<T>(_engine, _config, _weights);
        var sequence = new ReadOnlyTensorSpan<T>(input, lengths);
        layer.ForwardWithWeights(
            sequence, sequence, sequence, new TensorSpan<T>(output, lengths), new TensorSpan<T>(weights, [1, Heads, tokens, tokens]),
            causal: causal ? Causal.TopLeft : Causal.None);
        return (ElementArrays.Widen(output), ElementArrays.Widen(weights));
    }

    /// <summary>Starts the host, which runs the layer once. A device that is to fail or wait in a test does so only after that.</summary>
    public void Start() => _ = Services;

    public void AddLayer<T>(string name)
        where T : unmanaged => Attention.AddLayer<T>(name, _config, _weights);

    /// <summary>The layer again, with sessions.</summary>
    public AttentionSessions AddSessions(string name, AttentionCacheOptions cache) => AddSessions(Attention, name, cache);

    /// <inheritdoc cref="AddSessions(string, AttentionCacheOptions)"/>
    public static AttentionSessions AddSessions(IAttentionService service, string name, AttentionCacheOptions cache) =>
        service.AddLayer<float>(name, _config, _weights, cache).Sessions!;

    /// <summary>Sends a sequence as JSON, or as a safetensors file.</summary>
    public async Task<HttpResponseMessage> PostAsync(bool isFile, float[][] input, CancellationToken token)
    {
        if (isFile)
            return await PostFileAsync(Tensor(input), "", token);
        return await Client.PostAsJsonAsync("/v1/attention", new AttentionRequest(input), ServiceFixture.Json, token);
    }

    /// <summary>Sends one tensor as a safetensors file.</summary>
    public Task<HttpResponseMessage> PostFileAsync<T>(
        Tensor<T> tensor, string query, CancellationToken token, string name = SafetensorsBody.Input)
        where T : unmanaged
    {
        using var body = new MemoryStream();
        SafetensorsFile.Write(body, new Dictionary<string, Tensor<T>> { [name] = tensor });
        return PostBytesAsync(body.ToArray(), SafetensorsBody.ContentType, query, token);
    }

    public async Task<HttpResponseMessage> PostBytesAsync(byte[] body, string? contentType, string query, CancellationToken token)
    {
        using var content = new ByteArrayContent(body);
        content.Headers.ContentType = contentType is null ? null : MediaTypeHeaderValue.Parse(contentType);
        return await Client.PostAsync($"/v1/attention{query}", content, token);
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        builder.UseSetting("Attention:Device", "simd");
        builder.UseSetting("Logging:LogLevel:Default", "None");
        builder.UseSetting("Logging:LogLevel:Microsoft.AspNetCore", "None");
        builder.UseSetting("Service:MaxTokens", $"{MaxTokens}");
        builder.UseSetting("Service:MaxWeightTokens", $"{MaxWeightTokens}");
        if (TransferSeconds is { } seconds)
            builder.UseSetting("Service:TransferSeconds", $"{seconds}");
        builder.ConfigureTestServices(services => services.AddSingleton<IAttentionService>(provider =>
        {
            var service = new AttentionService(
                "", Options, provider.GetRequiredService<IMeterFactory>(), provider.GetRequiredService<ILogger<AttentionService>>(),
                (name, options) => name == Options.Device ? new AttentionEngine(Device) : new AttentionEngine(name, options));
            service.AddLayer<float>("small", _config, _weights);
            return service;
        }));
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _client?.Dispose();
        base.Dispose(disposing);
    }
}
