using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests.Bodies;

/// <summary>JSON bodies, read piece by piece: what is understood, and what is refused and when.</summary>
public class JsonRequestTests(SmallService service) : IClassFixture<SmallService>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static string Rows => JsonSerializer.Serialize(SmallService.Input(3));

    public static TheoryData<string> Forms => new()
    {
        """{"input":ROWS}""",
        """{"layer":"small","input":ROWS,"causal":false,"weights":false}""",
        """{"weights":false,"causal":false,"input":ROWS,"layer":"SMALL"}""",
        """{"INPUT":ROWS,"Layer":null}""",
        "{\"\\u0069nput\":ROWS}",
        "\uFEFF{\"input\":ROWS}",
        new string(' ', 3_000) + "{" + new string('\n', 3_000) + "\"input\"" + new string(' ', 3_000) + ":ROWS}" + new string('\t', 3_000),
    };

    [Theory]
    [MemberData(nameof(Forms))]
    public async Task A_request_is_the_same_in_any_form_and_in_any_pieces(string form)
    {
        byte[] body = Encoding.UTF8.GetBytes(form.Replace("ROWS", Rows, StringComparison.Ordinal));
        foreach (int size in new[] { 1, 2, 7, 1000, body.Length })
        {
            using HttpResponseMessage answer = await PostAsync(new PiecesContent(body, size));
            await Answers.AssertRightAsync(answer, isFile: false, SmallService.Input(3), causal: false, Token);
        }
    }

    [Theory]
    [InlineData("[]", "the body must be an object")]
    [InlineData("1", "the body must be an object")]
    [InlineData("{}", "'input' must be given")]
    [InlineData("""{"layer":"small"}""", "'input' must be given")]
    [InlineData("""{"input":null}""", "'input' must be an array of rows")]
    [InlineData("""{"input":[1]}""", "each row of 'input' must be an array of numbers")]
    [InlineData("""{"input":[[1,2,3,4,5,6,7,null]]}""", "row 0 of 'input' must have numbers, \"NaN\", \"Infinity\" or \"-Infinity\"")]
    [InlineData("""{"input":[[1,2,3,4,5,6,7,"8"]]}""", "row 0 of 'input' must have numbers, \"NaN\", \"Infinity\" or \"-Infinity\"")]
    [InlineData("""{"input":[[1e39]]}""", "row 0 of 'input' has a number beyond float32")]
    [InlineData("""{"input":[[-1e999]]}""", "row 0 of 'input' has a number beyond float32")]
    [InlineData("""{"input":[],"causal":1}""", "'causal' must be true or false")]
    [InlineData("""{"input":[],"weights":null}""", "'weights' must be true or false")]
    [InlineData("""{"input":[],"layer":7}""", "'layer' must be a text")]
    [InlineData("""{"input":[],"Input":[]}""", "it has 'input' twice")]
    [InlineData("""{"input":[],"inputs":[]}""", "it has the member 'inputs'; it may have input, layer, causal, weights")]
    public async Task What_is_no_request_is_refused(string body, string what)
    {
        using HttpResponseMessage refusal = await PostAsync(new PiecesContent(Encoding.UTF8.GetBytes(body), 1));
        (string? title, string? detail) = await Answers.AssertProblemAsync(refusal, 400, Token);
        Assert.Equal(("The request cannot be read.", $"The body is not the JSON of a request: {what}."), (title, detail));
    }

    [Theory]
    [InlineData("""{"input":[]}x""")]
    [InlineData("""{"input":[]}{}""")]
    [InlineData("""{"input":[]""")]
    [InlineData("""{"input":[[01]]}""")]
    [InlineData("""{"input":[],}""")]
    [InlineData("\uFEFF\uFEFF{\"input\":[]}")]
    [InlineData("\uFEFF")]
    [InlineData("")]
    public async Task What_is_no_JSON_is_refused(string body)
    {
        using HttpResponseMessage refusal = await PostAsync(new PiecesContent(Encoding.UTF8.GetBytes(body), 1));
        await Answers.AssertProblemAsync(refusal, 400, Token);
    }

    [Fact]
    public async Task Texts_that_are_no_UTF_8_are_refused()
    {
        using HttpResponseMessage refusal = await PostAsync(new PiecesContent([.. "{\"layer\":\""u8, 0xFF, 0xFE, .. "\"}"u8], 100));
        await Answers.AssertProblemAsync(refusal, 400, Token);
    }

    [Theory]
    [InlineData("""{"input":[[1],""", "Row 0 of 'input' must have 8 numbers, the embedding size of 'small'; it has 1.")]
    [InlineData("""{"input":[[1,2,3,4,5,6,7,8],[1,2,3,4,5,6,7,8,9""", "Row 1 of 'input' must have 8 numbers, the embedding size of 'small'; it has more.")]
    [InlineData("""{"input":[ROW,ROW,ROW,ROW,ROW,ROW,[""", "'input' must have at most 6 tokens; it has 7.")]
    [InlineData("""{"layer":"big",""", "'layer' must be one of small; it was 'big'.")]
    public async Task A_wrong_request_is_refused_before_it_has_ended(string start, string detail)
    {
        await AssertRefusedAsync(start.Replace("ROW", "[1,2,3,4,5,6,7,8]", StringComparison.Ordinal) + " ", detail);
    }

    [Theory]
    [InlineData("{\"layer\":\"", "cd")]
    [InlineData("{\"", "cd")]
    [InlineData("{\"input\":[[", "11")]
    public async Task A_text_that_does_not_end_is_refused(string start, string part)
    {
        await AssertRefusedAsync(
            start + string.Concat(Enumerable.Repeat(part, 2500)),
            "The body is not the JSON of a request: a name, text or number must have at most 4096 bytes, with the white space before it.");
    }

    [Theory]
    [InlineData("{\"layer\":\"TEXT\",\"input\":[]}")]
    [InlineData("{\"TEXT\":1}")]
    public async Task What_was_sent_is_cut_in_the_answer(string form)
    {
        using HttpResponseMessage refusal =
            await PostAsync(new PiecesContent(Encoding.UTF8.GetBytes(form.Replace("TEXT", new string('x', 4000), StringComparison.Ordinal)), 100));
        string detail = (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail!;
        Assert.Contains($"'{new string('x', 100)}…'", detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rows_are_compared_with_each_other_until_the_layer_is_known()
    {
        await using var two = new SmallService();
        two.AddLayer<float>("another");
        await AssertAsync("""{"input":[[1,2,3,4,5,6,7,8,9,""", "Row 0 of 'input' must have as many numbers as row 0, the embedding size of the layer; it has more.");
        await AssertAsync("""{"input":[[1,2],[3],""", "Row 1 of 'input' must have as many numbers as row 0, the embedding size of the layer; it has 1.");
        await AssertAsync("""{"input":[[1,2],[3,4]],"layer":"small"}""", "Row 0 of 'input' must have 8 numbers, the embedding size of 'small'; it has 2.");
        await AssertAsync("""{"input":[]}""", "'layer' must be one of another, small; it was ''.");

        async Task AssertAsync(string body, string detail)
        {
            using HttpResponseMessage refusal =
                await two.PostBytesAsync(Encoding.UTF8.GetBytes(body), "application/json", "", Token);
            Assert.Equal(detail, (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail);
        }
    }

    [Fact]
    public async Task All_numbers_come_and_go()
    {
        const string Row = "[0,-0,1e-45,3.4028235e38,\"NaN\",\"Infinity\",\"-Infinity\",0.1]";
        using HttpResponseMessage answer = await PostAsync(new PiecesContent(Encoding.UTF8.GetBytes($"{{\"input\":[{Row}]}}"), 3));
        using JsonDocument body = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(Token));
        Assert.All(body.RootElement.GetProperty("output")[0].EnumerateArray(), number => Assert.Equal("NaN", number.GetString()));
        Assert.Equal("application/json; charset=utf-8", answer.Content.Headers.ContentType?.ToString());
    }

    private async Task<HttpResponseMessage> PostAsync(HttpContent content)
    {
        HttpResponseMessage answer = await service.Client.PostAsync("/v1/attention", content, Token);

        // Whatever became of the request, it holds nothing any more.
        await Wait.UntilAsync(() => service.Services.GetRequiredService<MemoryBudget>().UsedBytes == 0);
        return answer;
    }

    // The request does not end.
    private static async Task AssertRefusedAsync(string start, string detail)
    {
        await using var small = new SmallService();
        small.UseKestrel(0);
        small.StartServer();
        await using var client = new RawClient();
        await client.SendAsync(small.Client.BaseAddress!, "application/json", start, contentLength: 1_000_000);
        await client.AssertAnswerAsync(400, detail);
        await Wait.UntilAsync(() => small.Services.GetRequiredService<MemoryBudget>().UsedBytes == 0);
    }

    /// <summary>A body that is sent in pieces.</summary>
    private sealed class PiecesContent : HttpContent
    {
        private readonly byte[] _body;
        private readonly int _size;

        public PiecesContent(byte[] body, int size)
        {
            (_body, _size) = (body, size);
            Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => Task.CompletedTask;

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            for (int start = 0; start < _body.Length; start += _size)
            {
                await stream.WriteAsync(_body.AsMemory(start, Math.Min(_size, _body.Length - start)), cancellationToken);
                await stream.FlushAsync(cancellationToken);
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
