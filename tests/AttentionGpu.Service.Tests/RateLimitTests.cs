using System.Net;
using AttentionGpu.Service.Guards;
using Microsoft.AspNetCore.Http;

namespace AttentionGpu.Service.Tests;

/// <summary>Limits of a client, and of all together, at their borders.</summary>
public class RateLimitTests
{
    private const string First = "192.0.2.1";
    private const string Second = "192.0.2.2";

    // Nothing comes back within a test.
    private static readonly (string, string)[] _twoRequests = [("RateLimits:Burst", "2"), ("RateLimits:RequestsPerSecond", "0.0001")];

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_client_that_sends_too_much_is_429_and_others_are_answered()
    {
        using var service = new GuardedService(_twoRequests);
        await AssertStatusAsync(service, GuardedService.Layers, 200, First);
        await AssertStatusAsync(service, "/v1/nothing", 404, First);
        using HttpResponseMessage refusal = await service.GetAsync(GuardedService.Layers, Token, First);
        (string? title, string? detail) = await Answers.AssertProblemAsync(refusal, 429, Token);
        Assert.Equal("The client has sent too many requests.", title);
        double seconds = refusal.Headers.RetryAfter!.Delta!.Value.TotalSeconds;
        Assert.InRange(seconds, 1.0, 10_000.0);
        Assert.Equal($"Try again in {seconds:F0} s.", detail);
        await AssertStatusAsync(service, GuardedService.Layers, 200, Second);

        // A header that nobody checks makes no new client.
        using HttpResponseMessage named = await service.GetAsync(GuardedService.Layers, Token, First, headers: ("X-Api-Key", "another"));
        Assert.Equal(429, (int)named.StatusCode);
    }

    [Fact]
    public async Task Probes_have_a_part_of_their_own()
    {
        using var service = new GuardedService(_twoRequests);
        for (int i = 0; i < 3; i++)
            await AssertStatusAsync(service, GuardedService.Layers, i < 2 ? 200 : 429, First);
        await AssertStatusAsync(service, GuardedService.Health, 200, First);
        await AssertStatusAsync(service, GuardedService.Metrics, 200, First);
        await AssertStatusAsync(service, GuardedService.Health, 429, First);
        await AssertStatusAsync(service, "/", 200, First);
    }

    [Fact]
    public async Task Keys_cannot_be_tried_without_end_and_a_client_with_one_is_not_stopped_by_those_without()
    {
        const string key = "the key of alice, 32 characters.";
        using var service = new GuardedService([.. _twoRequests, ("Access:Scheme", "ApiKey"), ("Access:Keys:alice", key)]);
        for (int i = 0; i < 3; i++)
        {
            using HttpResponseMessage guess = await service.GetAsync(
                GuardedService.Layers, Token, First, headers: ("X-Api-Key", $"guess {i}"));
            Assert.Equal(i < 2 ? 401 : 429, (int)guess.StatusCode);
        }

        for (int i = 0; i < 3; i++)
        {
            // A client is its key, from wherever it calls.
            using HttpResponseMessage known = await service.GetAsync(
                GuardedService.Layers, Token, i == 0 ? First : Second, headers: ("X-Api-Key", key));
            Assert.Equal(i < 2 ? 200 : 429, (int)known.StatusCode);
        }
    }

    [Theory]
    [InlineData("RateLimits:ConcurrentRequestsPerClient", 429, "The client has too many requests at the same time.")]
    [InlineData("RateLimits:ConcurrentRequests", 503, "The service has too much to do.")]
    public async Task One_request_more_at_the_same_time_is_refused_until_one_ends(string setting, int status, string title)
    {
        using var service = new GuardedService((setting, "2"));
        using var gate = new ManualResetEventSlim();
        service.Small.Device.BeforeLinear = gate.Wait;
        float[][] input = SmallService.Input(2);
        List<Task<HttpResponseMessage>> all =
        [
            .. Enumerable.Range(0, 3).Select(_ => service.SendAsync(GuardedService.Attention(input), Token, First)),
        ];
        try
        {
            // The device waits for two of the three, whichever they are.
            Task<HttpResponseMessage> refused = await Task.WhenAny(all).WaitAsync(Wait.Patience, Token);
            all.Remove(refused);
            using HttpResponseMessage refusal = await refused;
            Assert.Equal((title, "Try again in 1 s."), await Answers.AssertProblemAsync(refusal, status, Token));
            Assert.Equal(TimeSpan.FromSeconds(1), refusal.Headers.RetryAfter?.Delta);

            // Another client, and probes, are answered.
            await AssertStatusAsync(service, GuardedService.Layers, 200, Second);
            await AssertStatusAsync(service, GuardedService.Metrics, 200, First);
        }
        finally
        {
            gate.Set();
        }

        foreach (Task<HttpResponseMessage> one in all)
        {
            using HttpResponseMessage answer = await one;
            await Answers.AssertRightAsync(answer, isFile: false, input, causal: false, Token);
        }

        using HttpResponseMessage next = await service.SendAsync(GuardedService.Attention(input), Token, First);
        await Answers.AssertRightAsync(next, isFile: false, input, causal: false, Token);
    }

    [Fact]
    public async Task Zero_is_no_limit()
    {
        using var service = new GuardedService(
            ("RateLimits:RequestsPerSecond", "0"), ("RateLimits:Burst", "1"), ("RateLimits:ConcurrentRequestsPerClient", "0"),
            ("RateLimits:ConcurrentRequests", "0"));
        float[][] input = SmallService.Input(1);
        Task<HttpResponseMessage>[] all =
        [
            .. Enumerable.Range(0, 20).Select(_ => service.SendAsync(GuardedService.Attention(input), Token, First)),
        ];
        foreach (Task<HttpResponseMessage> one in all)
        {
            using HttpResponseMessage answer = await one;
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Theory]
    [InlineData("192.0.2.1", "192.0.2.1", true)]
    [InlineData("192.0.2.1", "192.0.2.2", false)]
    [InlineData("192.0.2.1", "::ffff:192.0.2.1", true)]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", true)]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:3::1", false)]
    [InlineData(null, null, true)]
    [InlineData(null, "192.0.2.1", false)]
    public void An_address_is_a_client_and_of_IPv6_a_network_of_64_bits(string? one, string? other, bool same) =>
        Assert.Equal(same, Of(one) == Of(other));

    private static string Of(string? address)
    {
        var context = new DefaultHttpContext();
        context.Connection.RemoteIpAddress = address is null ? null : IPAddress.Parse(address);
        return ClientIdentity.Of(context);
    }

    private static async Task AssertStatusAsync(GuardedService service, string path, int status, string address)
    {
        using HttpResponseMessage answer = await service.GetAsync(path, Token, address);
        Assert.Equal(status, (int)answer.StatusCode);
    }
}
