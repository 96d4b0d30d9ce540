using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace AttentionGpu.Service.Tests;

/// <summary>What goes wrong with one request goes wrong with no other.</summary>
public class FaultTests(ServiceFixture service) : IClassFixture<ServiceFixture>
{
    private const int FuzzedBodies = 10_000;
    private const int FuzzingClients = 8;
    private const int LeavingClients = 40;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Fuzzed_bodies_are_answered_or_refused()
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(new AttentionRequest(ServiceFixture.Input(1, 1)), ServiceFixture.Json);
        byte[] file = ServiceFixture.Safetensors(ServiceFixture.Input(1, 1));
        int seed = Random.Shared.Next();
        int answered = 0;
        await Task.WhenAll(Enumerable.Range(0, FuzzingClients).Select(client => Task.Run(async () =>
        {
            var random = new Random(seed + client);
            for (int i = client; i < FuzzedBodies; i += FuzzingClients)
            {
                bool isFile = random.Next(2) == 0;
                using var content = new ByteArrayContent(Fuzz(isFile ? file : json, random));
                content.Headers.ContentType = new MediaTypeHeaderValue(isFile ? SafetensorsBody.ContentType : "application/json");
                using HttpResponseMessage response = await service.Client.PostAsync("/v1/attention", content, Token);
                Assert.True(
                    response.StatusCode is HttpStatusCode.OK or HttpStatusCode.BadRequest,
                    $"seed {seed}, body {i}: {response.StatusCode}, {await response.Content.ReadAsStringAsync(Token)}");
                if (response.StatusCode == HttpStatusCode.OK)
                    Interlocked.Increment(ref answered);
            }
        }, Token)));
        Assert.InRange(answered, 1, FuzzedBodies - 1);
        await service.AssertAnswersAsync(6, 7, Token);
    }

    [Fact]
    public async Task Clients_that_leave_harm_nobody()
    {
        var random = new Random(5);
        int[] delays = [.. Enumerable.Range(0, LeavingClients).Select(_ => random.Next(0, 25))];
        Task[] leaving =
        [
            .. delays.Select((delay, i) => Task.Run(async () =>
            {
                using var gone = new CancellationTokenSource(TimeSpan.FromMilliseconds(delay));
                try
                {
                    using HttpResponseMessage response = await service.PostAsync(new AttentionRequest(ServiceFixture.Input(60, i)), gone.Token);
                }
                catch (OperationCanceledException)
                {
                    // It has left.
                }
            }, Token)),
        ];
        Task[] staying = [.. Enumerable.Range(0, LeavingClients).Select(i => service.AssertAnswersAsync(1 + i, i, Token))];
        await Task.WhenAll([.. leaving, .. staying]);
        Assert.Equal("Healthy", await service.Client.GetStringAsync("/health", Token));
    }

    // A few bytes changed, or cut off, or put twice; now and then nothing but noise.
    private static byte[] Fuzz(byte[] body, Random random)
    {
        if (random.Next(10) == 0)
        {
            var noise = new byte[random.Next(0, 300)];
            random.NextBytes(noise);
            return noise;
        }

        byte[] fuzzed = [.. body];
        for (int change = random.Next(0, 6); change >= 0; change--)
            fuzzed[random.Next(random.Next(2) == 0 ? Math.Min(200, fuzzed.Length) : fuzzed.Length)] = (byte)random.Next(256);
        return random.Next(4) switch
        {
            0 => fuzzed[..random.Next(fuzzed.Length)],
            1 => [.. fuzzed, .. Encoding.UTF8.GetBytes("]}")],
            _ => fuzzed,
        };
    }
}
