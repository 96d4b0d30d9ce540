using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Service.Tests;

public class EndpointTests(ServiceFixture service) : IClassFixture<ServiceFixture>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Json_is_answered_with_weights_if_asked_for()
    {
        float[][] input = ServiceFixture.Input(5, 1);
        using HttpResponseMessage response = await service.PostAsync(new AttentionRequest(input, "demo", Causal: true, Weights: true), Token);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        AttentionResponse answer = (await response.Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, Token))!;
        Close.Assert(service.Expected(input, causal: true), [.. answer.Output.SelectMany(row => row)], "output");
        Assert.Equal(8, answer.Weights!.Length);
        Assert.All(answer.Weights.SelectMany(head => head), row => Assert.Equal(1f, row.Sum(), 1e-5f));
        Assert.Equal(0f, answer.Weights[0][0][4]);
    }

    [Fact]
    public async Task Safetensors_are_answered_in_kind()
    {
        float[][] input = ServiceFixture.Input(9, 2);
        using var content = new ByteArrayContent(ServiceFixture.Safetensors(input));
        content.Headers.ContentType = new MediaTypeHeaderValue(SafetensorsBody.ContentType);
        using HttpResponseMessage response = await service.Client.PostAsync("/v1/attention?layer=demo&causal=true", content, Token);
        Assert.Equal(SafetensorsBody.ContentType, response.EnsureSuccessStatusCode().Content.Headers.ContentType!.MediaType);
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(await response.Content.ReadAsByteArrayAsync(Token)));
        Close.Assert(service.Expected(input, causal: true), [.. file.Read("output")], "output");
    }

    [Theory]
    [InlineData("""{"input":[[1,2]]}""", 400, "Row 0 of 'input' must have 512 numbers")]
    [InlineData("""{"input":[null]}""", 400, "each row of 'input' must be an array")]
    [InlineData("""{"layer":"other","input":[]}""", 400, "must be one of demo")]
    [InlineData("""{"inputs":[]}""", 400, "inputs")]
    [InlineData("""{"input":"x"}""", 400, "input")]
    [InlineData("{", 400, "")]
    [InlineData("null", 400, "object")]
    public async Task Bad_requests_are_problems(string body, int status, string detail)
    {
        using var content = new StringContent(body, new MediaTypeHeaderValue("application/json"));
        using HttpResponseMessage response = await service.Client.PostAsync("/v1/attention", content, Token);
        (_, string? actual) = await Answers.AssertProblemAsync(response, status, Token);
        Assert.Contains(detail, actual ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_is_too_much_is_refused()
    {
        float[][] many = [.. Enumerable.Repeat(new float[ServiceFixture.Embedding], 300)];
        using HttpResponseMessage refusal = await service.PostAsync(new AttentionRequest(many, Weights: true), Token);
        (_, string? detail) = await Answers.AssertProblemAsync(refusal, 400, Token);
        Assert.Contains("at most 256 tokens", detail, StringComparison.Ordinal);
        using var text = new StringContent("x");
        using HttpResponseMessage unknown = await service.Client.PostAsync("/v1/attention", text, Token);
        (_, string? types) = await Answers.AssertProblemAsync(unknown, 415, Token);
        Assert.Equal($"The content type must be application/json or {SafetensorsBody.ContentType}.", types);
    }

    [Theory]
    [InlineData("application/json", 0, 400)]
    [InlineData("application/json", 1, 413)]
    [InlineData(SafetensorsBody.ContentType, 0, 400)]
    [InlineData(SafetensorsBody.ContentType, 1, 413)]
    public async Task A_body_may_have_as_many_bytes_as_the_limit(string contentType, int more, int status)
    {
        // The service closes the connection of a body that is too large: the client waits for its consent before it sends one.
        using var handler = new SocketsHttpHandler { Expect100ContinueTimeout = TimeSpan.FromMinutes(1) };
        using var client = new HttpClient(handler);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(service.Client.BaseAddress!, "/v1/attention"));
        request.Headers.ExpectContinue = true;
        request.Content = new ByteArrayContent(new byte[ServiceFixture.MaxBodyBytes + more]);
        request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        using HttpResponseMessage response = await client.SendAsync(request, Token);

        // Within the limit it is read, and is then neither JSON nor a file.
        await Answers.AssertProblemAsync(response, status, Token);
    }

    [Fact]
    public async Task NaN_comes_back_as_NaN()
    {
        float[][] input = ServiceFixture.Input(2, 3);
        input[0][7] = float.NaN;
        using HttpResponseMessage response = await service.PostAsync(new AttentionRequest(input), Token);
        AttentionResponse answer = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, Token))!;
        Assert.True(float.IsNaN(answer.Output[1][0]));
    }

    [Fact]
    public async Task Health_metrics_and_the_description_are_there()
    {
        await service.AssertAnswersAsync(3, 4, Token);
        Assert.Equal("Healthy", await service.Client.GetStringAsync("/health", Token));
        string metrics = await service.Client.GetStringAsync("/metrics", Token);
        Assert.Contains("attention_requests_total{", metrics, StringComparison.Ordinal);
        Assert.Contains("attention_device_memory_bytes{", metrics, StringComparison.Ordinal);
        using JsonDocument description = JsonDocument.Parse(await service.Client.GetStringAsync("/openapi/v1.json", Token));
        JsonElement post = description.RootElement.GetProperty("paths").GetProperty("/v1/attention").GetProperty("post");
        Assert.True(post.GetProperty("requestBody").GetProperty("content").TryGetProperty("application/json", out _));
        Assert.True(post.GetProperty("responses").TryGetProperty("413", out _));
    }
}
