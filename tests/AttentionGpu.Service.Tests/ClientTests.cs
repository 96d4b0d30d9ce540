using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>Whom the service says that a request is for.</summary>
public class ClientTests
{
    private const string FirstKey = "the first key, of many letters";
    private const string SecondKey = "the second key, of many letters";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task A_client_is_its_address_whatever_its_headers_say(bool isFile, bool weights)
    {
        var service = new RecordingService();
        using var guarded = new GuardedService(services => services.AddSingleton<IAttentionService>(service));
        foreach (string? key in (string?[])[FirstKey, null, "", SecondKey])
            await PostAsync(guarded, isFile, weights, key, "192.0.2.1");
        await PostAsync(guarded, isFile, weights, FirstKey, "2001:db8::1");
        await PostAsync(guarded, isFile, weights, FirstKey, address: null);
        Assert.Equal(
            [.. Enumerable.Repeat("address 192.0.2.1", 4), "address 2001:db8::/64", "address unknown"],
            service.Requests.Select(one => one.Client));
        Assert.All(service.Requests, one => Assert.Equal(Causal.TopLeft, one.Causal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_with_a_key_is_the_name_of_its_key_from_wherever_it_calls(bool isFile)
    {
        var service = new RecordingService();
        using var guarded = new GuardedService(
            services => services.AddSingleton<IAttentionService>(service),
            ("Access:Scheme", "ApiKey"), ("Access:Keys:first", FirstKey), ("Access:Keys:second", SecondKey));
        await PostAsync(guarded, isFile, weights: false, FirstKey, "192.0.2.1");
        await PostAsync(guarded, isFile, weights: false, SecondKey, "192.0.2.1");
        await PostAsync(guarded, isFile, weights: false, FirstKey, "192.0.2.2");
        Assert.Equal(["client first", "client second", "client first"], service.Requests.Select(one => one.Client));
    }

    [Theory]
    [InlineData("10.0.0.1", "192.0.2.1", "address 192.0.2.1")]
    [InlineData("10.0.0.1", "192.0.2.9, 192.0.2.1, 10.2.3.4", "address 192.0.2.1")]
    [InlineData("::ffff:10.0.0.1", "192.0.2.1", "address 192.0.2.1")]
    [InlineData("2001:db8::7", "192.0.2.1", "address 192.0.2.1")]
    [InlineData("2001:db8::8", "192.0.2.1", "address 2001:db8::/64")]
    [InlineData("192.0.2.2", "192.0.2.1", "address 192.0.2.2")]
    [InlineData("10.0.0.1", "", "address 10.0.0.1")]
    public async Task An_address_that_a_proxy_tells_is_believed_of_trusted_proxies_alone(string peer, string forwarded, string client)
    {
        var service = new RecordingService();
        using var guarded = new GuardedService(
            services => services.AddSingleton<IAttentionService>(service),
            ("Access:TrustedProxies:0", "10.0.0.0/8"), ("Access:TrustedProxies:1", "2001:db8::7"));
        using HttpResponseMessage response = await guarded.SendAsync(
            GuardedService.Attention(SmallService.Input(2)), Token, peer, headers: ("X-Forwarded-For", forwarded));
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal(client, Assert.Single(service.Requests).Client);
    }

    private static async Task PostAsync(GuardedService service, bool isFile, bool weights, string? key, string? address)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/attention?causal=true")
        {
            Content = isFile ? File() : JsonContent.Create(
                new AttentionRequest(SmallService.Input(2), Causal: true, Weights: weights), options: ServiceFixture.Json),
        };
        (string, string)[] headers = key is null ? [] : [("X-Api-Key", key)];
        using HttpResponseMessage response = await service.SendAsync(request, Token, address, headers: headers);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
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
}
