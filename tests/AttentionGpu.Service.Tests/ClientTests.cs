using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>Whom the service says that a request is for.</summary>
public class ClientTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task A_client_is_its_key_or_else_its_connection(bool isFile, bool weights)
    {
        var service = new RecordingService();
        await using var small = new SmallService();
        await using WebApplicationFactory<Program> host = small.WithWebHostBuilder(builder => builder.ConfigureTestServices(services =>
        {
            services.AddSingleton<IAttentionService>(service);
            services.AddSingleton<IStartupFilter>(new OneConnection());
        }));
        using HttpClient client = host.CreateClient();
        foreach (string? key in (string?[])["first key", null, "", "second key"])
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/attention?causal=true")
            {
                Content = isFile ? File() : JsonContent.Create(
                    new AttentionRequest(SmallService.Input(2), Causal: true, Weights: weights), options: ServiceFixture.Json),
            };
            if (key is not null)
                request.Headers.Add("X-Api-Key", key);
            using HttpResponseMessage response = await client.SendAsync(request, Token);
            Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        }

        Assert.Equal(["first key", OneConnection.Id, OneConnection.Id, "second key"], service.Requests.Select(one => one.Client));
        Assert.All(service.Requests, one => Assert.Equal(Causal.TopLeft, one.Causal));
    }

    private static ByteArrayContent File()
    {
        using var body = new MemoryStream();
        SafetensorsFile.Write(body, new Dictionary<string, System.Numerics.Tensors.Tensor<float>>
        {
            [SafetensorsBody.Input] = SmallService.Tensor(SmallService.Input(2)),
        });
        return new(body.ToArray()) { Headers = { ContentType = MediaTypeHeaderValue.Parse(SafetensorsBody.ContentType) } };
    }

    private sealed class OneConnection : IStartupFilter
    {
        public const string Id = "the connection";

        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use((context, following) =>
            {
                context.Connection.Id = Id;
                return following(context);
            });
            next(app);
        };
    }

    /// <summary>A service with one layer, which is itself: it keeps the options of its requests and computes nothing.</summary>
    private sealed class RecordingService : IAttentionService, IAttentionLayer
    {
        public List<ForwardOptions> Requests { get; } = [];

        public string Name => "";

        public DeviceInfo Device { get; } = new() { Name = "fake", Kind = DeviceKind.Reference, Description = "computes nothing" };

        public bool UsesFallback => false;

        public int QueueDepth => 0;

        public IReadOnlyDictionary<string, IAttentionLayer> Layers => new Dictionary<string, IAttentionLayer> { ["layer"] = this };

        public MultiHeadAttentionConfig Config { get; } = new() { EmbeddingSize = SmallService.Embedding, Heads = SmallService.Heads };

        public Type ElementType => typeof(float);

        public IAttentionLayer AddLayer<T>(string name, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights)
            where T : unmanaged => throw new NotSupportedException();

        public Task WarmUpAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task ForwardAsync<T>(ReadOnlyMemory<T> input, Memory<T> output, ForwardOptions options, CancellationToken cancellationToken)
            where T : unmanaged
        {
            Requests.Add(options);
            return Task.CompletedTask;
        }

        public Task ForwardWithWeightsAsync<T>(
            ReadOnlyMemory<T> input, Memory<T> output, Memory<T> weights, ForwardOptions options, CancellationToken cancellationToken)
            where T : unmanaged => ForwardAsync(input, output, options, cancellationToken);
    }
}
