using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace AttentionGpu.Service.Tests;

/// <summary>What a request says in its query and its body, and how it is told what is wrong.</summary>
public class RequestTests(SmallService service) : IClassFixture<SmallService>
{
    private const string Json = "application/json";

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public static TheoryData<string, string, bool> Agreements => new()
    {
        { "", "", false },
        { "?causal=true", "", true },
        { "?causal=false", "", false },
        { "?CAUSAL=True&Layer=SMALL", "", true },
        { "?layer=small", "", false },
        { "?layer=small", ""","layer":"Small","causal":true""", true },
        { "?causal=true", ""","causal":true""", true },
        { "?causal=false", ""","causal":false""", false },
        { "?causal=true", ""","layer":null""", true },
        { "", ""","causal":true,"layer":"small" """, true },
    };

    [Theory]
    [MemberData(nameof(Agreements))]
    public async Task The_query_and_a_JSON_body_say_the_same(string query, string members, bool causal)
    {
        float[][] input = SmallService.Input(3);
        using HttpResponseMessage answer = await PostAsync(query, $$"""{"input":{{JsonSerializer.Serialize(input)}}{{members}}}""");
        await Answers.AssertRightAsync(answer, isFile: false, input, causal, Token);
    }

    [Theory]
    [InlineData("?causal=true", ""","causal":false""", "'causal' must be the same in the query and in the body; it was true and false.")]
    [InlineData("?causal=false", ""","causal":true""", "'causal' must be the same in the query and in the body; it was false and true.")]
    [InlineData(
        "?layer=small", ""","layer":"other" """, "'layer' must be the same in the query and in the body; it was 'small' and 'other'.")]
    [InlineData("?layer=nope", "", "'layer' must be one of small; it was 'nope'.")]
    [InlineData("?layer=", "", "'layer' must be one of small; it was ''.")]
    [InlineData("?causal=", "", "'causal' in the query must be true or false; it was ''.")]
    [InlineData("?causal=1", "", "'causal' in the query must be true or false; it was '1'.")]
    [InlineData("?causal=true&causal=true", "", "'causal' may be once in the query; it is there 2 times.")]
    [InlineData("?layer=small&layer=small", "", "'layer' may be once in the query; it is there 2 times.")]
    [InlineData("?weights=true", "", "The query may have 'layer' and 'causal'; it has 'weights'.")]
    public async Task A_query_that_contradicts_or_is_not_known_is_refused_with_either_body(string query, string members, string detail)
    {
        float[][] input = SmallService.Input(2);
        using HttpResponseMessage json = await PostAsync(query, $$"""{"input":{{JsonSerializer.Serialize(input)}}{{members}}}""");
        Assert.Equal(detail, (await Answers.AssertProblemAsync(json, 400, Token)).Detail);
        if (members.Length != 0)
            return;
        using HttpResponseMessage file = await service.PostFileAsync(SmallService.Tensor(input), query, Token);
        Assert.Equal(detail, (await Answers.AssertProblemAsync(file, 400, Token)).Detail);
    }

    [Theory]
    [InlineData("3.4028235e38", 200)]
    [InlineData("-3.4028235e38", 200)]
    [InlineData("3.4028236e38", 400)]
    [InlineData("1e39", 400)]
    [InlineData("-1e39", 400)]
    [InlineData("1e400", 400)]
    [InlineData("1e-400", 200)]
    [InlineData("\"Infinity\"", 200)]
    [InlineData("\"-Infinity\"", 200)]
    [InlineData("\"NaN\"", 200)]
    [InlineData("\"infinity\"", 400)]
    [InlineData("\"1\"", 400)]
    [InlineData("null", 400)]
    [InlineData("NaN", 400)]
    public async Task A_number_is_one_of_float32_or_is_refused(string number, int status)
    {
        using HttpResponseMessage answer = await PostAsync("", $$"""{"input":[[1,2,3,4,5,6,7,{{number}}]]}""");
        string body = await answer.Content.ReadAsStringAsync(Token);
        Assert.True((int)answer.StatusCode == status, body);
        if (status == 400 && number != "NaN")
            Assert.Contains("row 0 of 'input' ", body, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "'input' must be given.")]
    [InlineData("""{"inputs":[]}""", "it has the member 'inputs'; it may have input, layer, causal, weights.")]
    [InlineData("""{"input":null}""", "'input' must be an array of rows.")]
    [InlineData("""{"input":3}""", "'input' must be an array of rows.")]
    [InlineData("""{"input":[3]}""", "each row of 'input' must be an array of numbers.")]
    [InlineData("""{"input":[],"input":[]}""", "it has 'input' twice.")]
    [InlineData("""{"input":[],"causal":1}""", "'causal' must be true or false.")]
    [InlineData("""{"input":[],"layer":1}""", "'layer' must be a text.")]
    [InlineData("""{"input":[],"weights":"yes"}""", "'weights' must be true or false.")]
    [InlineData("[]", "the body must be an object.")]
    public async Task A_body_that_does_not_fit_is_told_by_the_members_of_JSON(string body, string told)
    {
        using HttpResponseMessage answer = await PostAsync("", body);
        (_, string? detail) = await Answers.AssertProblemAsync(answer, 400, Token);
        Assert.Equal($"The body is not the JSON of a request: {told}", detail);
    }

    [Theory]
    [InlineData("{")]
    [InlineData("""{"input":[[1,]]}""")]
    [InlineData("")]
    [InlineData("""{"input":[]} {""")]
    public async Task A_body_that_is_not_JSON_is_told_so(string body)
    {
        using HttpResponseMessage answer = await PostAsync("", body);
        (_, string? detail) = await Answers.AssertProblemAsync(answer, 400, Token);
        AssertHasNoNamesOfCode(detail!);
    }

    [Fact]
    public async Task Long_names_are_not_repeated()
    {
        string name = new('x', 10_000);
        string escaped = JsonSerializer.Serialize(name);
        foreach (string body in (string[])[$$"""{"input":[],"layer":{{escaped}}}""", $$"""{"input":[],{{escaped}}:1}"""])
        {
            using HttpResponseMessage answer = await PostAsync("", body);
            (_, string? detail) = await Answers.AssertProblemAsync(answer, 400, Token);
            Assert.InRange(detail!.Length, 1, 500);
        }
    }

    [Theory]
    [InlineData("application/json; charset=bogus", 415)]
    [InlineData("application/json; charset=utf-16", 415)]
    [InlineData("application/json; charset=\"latin1\"", 415)]
    [InlineData("application/json; charset=UTF-8", 200)]
    [InlineData("application/json; charset=\"utf-8\"", 200)]
    [InlineData("application/json;charset=", 200)]
    [InlineData("application/vnd.safetensors2", 415)]
    [InlineData("application/json2", 415)]
    [InlineData("json", 415)]
    [InlineData(";", 415)]
    public async Task A_body_in_an_encoding_or_of_a_type_that_is_not_read_is_415(string contentType, int status)
    {
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes("""{"input":[]}"""));
        content.Headers.TryAddWithoutValidation("Content-Type", contentType);
        using HttpResponseMessage answer = await service.Client.PostAsync("/v1/attention", content, Token);
        Assert.True(status == (int)answer.StatusCode, await answer.Content.ReadAsStringAsync(Token));
        if (status != 200)
            await Answers.AssertProblemAsync(answer, status, Token);
    }

    [Fact]
    public async Task A_client_that_accepts_files_alone_is_told_what_is_wrong()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/attention")
        {
            Content = new StringContent("{}", new MediaTypeHeaderValue(Json)),
        };
        request.Headers.Accept.Add(new(SafetensorsBody.ContentType));
        using HttpResponseMessage answer = await service.Client.SendAsync(request, Token);
        Assert.NotNull((await Answers.AssertProblemAsync(answer, 400, Token)).Detail);
    }

    [Fact]
    public async Task The_description_says_what_requests_and_answers_are()
    {
        string text = await service.Client.GetStringAsync("/openapi/v1.json", Token);
        AssertHasNoNamesOfCode(text);
        using JsonDocument description = JsonDocument.Parse(text);
        JsonElement post = description.RootElement.GetProperty("paths").GetProperty("/v1/attention").GetProperty("post");
        Assert.Equal(
            [("layer", "string"), ("causal", "boolean")],
            post.GetProperty("parameters").EnumerateArray().Select(one =>
                (one.GetProperty("name").GetString(), one.GetProperty("schema").GetProperty("type").GetString())));
        JsonElement[] contents =
        [
            post.GetProperty("requestBody").GetProperty("content"), post.GetProperty("responses").GetProperty("200").GetProperty("content"),
        ];
        Assert.All(contents, content => Assert.Equal(
            "binary", content.GetProperty(SafetensorsBody.ContentType).GetProperty("schema").GetProperty("format").GetString()));
        Assert.All(contents, content => Assert.True(content.GetProperty(Json).GetProperty("schema").TryGetProperty("$ref", out _)));
        JsonElement schemas = description.RootElement.GetProperty("components").GetProperty("schemas");
        JsonElement number = schemas.GetProperty("AttentionRequest").GetProperty("properties").GetProperty("input").GetProperty("items")
            .GetProperty("items");
        Assert.False(number.TryGetProperty("type", out _));
        Assert.False(schemas.GetProperty("ProblemDetails").TryGetProperty("additionalProperties", out _));
        foreach (string status in (string[])["400", "413", "415", "429", "503"])
            Assert.True(post.GetProperty("responses").TryGetProperty(status, out _));
    }

    private static void AssertHasNoNamesOfCode(string text)
    {
        foreach (string name in (string[])["AttentionGpu", "System.", "Single", "Boolean", "EmbeddingSize", "Parameter '", "Half", ".NET"])
            Assert.DoesNotContain(name, text, StringComparison.Ordinal);
    }

    private Task<HttpResponseMessage> PostAsync(string query, string body) =>
        service.PostBytesAsync(Encoding.UTF8.GetBytes(body), Json, query, Token);
}
