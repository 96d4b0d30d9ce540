using System.Net.Http.Json;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>The service with a small layer and some settings, asked from addresses and on ports that a test says.</summary>
internal sealed class GuardedService : IDisposable
{
    public const string Layers = "/v1/layers";
    public const string Metrics = "/metrics";
    public const string Description = "/openapi/v1.json";
    public const string Health = "/health";

    private readonly WebApplicationFactory<Program> _host;
    private readonly HttpClient _client;

    public GuardedService(params (string Name, string Value)[] settings)
        : this(_ => { }, settings)
    {
    }

    public GuardedService(Action<IServiceCollection> services, params (string Name, string Value)[] settings)
    {
        _host = Small.WithWebHostBuilder(builder =>
        {
            foreach ((string name, string value) in settings)
                builder.UseSetting(name, value);
            builder.ConfigureTestServices(all =>
            {
                all.AddSingleton<IStartupFilter>(new TestConnection());
                services(all);
            });
        });
        _client = _host.CreateClient();
    }

    public SmallService Small { get; } = new();

    public IServiceProvider Services => _host.Services;

    public static HttpRequestMessage Attention(float[][] input, string query = "") => new(HttpMethod.Post, $"/v1/attention{query}")
    {
        Content = JsonContent.Create(new AttentionRequest(input), options: ServiceFixture.Json),
    };

    public async Task<HttpResponseMessage> SendAsync(
        HttpRequestMessage request, CancellationToken token, string? address = null, int? port = null,
        params (string Name, string Value)[] headers)
    {
        using (request)
        {
            TestConnection.Set(request, address, port);
            foreach ((string name, string value) in headers)
                request.Headers.Add(name, value);
            return await _client.SendAsync(request, token);
        }
    }

    public Task<HttpResponseMessage> GetAsync(
        string path, CancellationToken token, string? address = null, int? port = null, params (string Name, string Value)[] headers) =>
        SendAsync(new HttpRequestMessage(HttpMethod.Get, path), token, address, port, headers);

    public void Dispose()
    {
        _client.Dispose();
        _host.Dispose();
        Small.Dispose();
    }
}
