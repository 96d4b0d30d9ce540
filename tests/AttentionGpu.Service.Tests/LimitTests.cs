using System.Net.Http.Json;
using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Service.Tests;

/// <summary>Limits at their borders, and the rules for shapes and names.</summary>
public class LimitTests(SmallService service) : IClassFixture<SmallService>
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_sequence_may_have_as_many_tokens_as_the_limit(bool isFile)
    {
        float[][] most = SmallService.Input(SmallService.MaxTokens);
        using HttpResponseMessage answer = await service.PostAsync(isFile, most, Token);
        await Answers.AssertRightAsync(answer, isFile, most, causal: false, Token);
        using HttpResponseMessage refusal = await service.PostAsync(isFile, SmallService.Input(SmallService.MaxTokens + 1), Token);
        Assert.Equal(
            ("The request does not fit.", "'input' must have at most 6 tokens; it has 7."),
            await Answers.AssertProblemAsync(refusal, 400, Token));
        Assert.Null(refusal.Headers.RetryAfter);
    }

    [Fact]
    public async Task A_sequence_whose_weights_are_wanted_has_a_limit_of_its_own()
    {
        float[][] most = SmallService.Input(SmallService.MaxWeightTokens);
        using HttpResponseMessage answer = await PostAsync(new(most, Weights: true));
        answer.EnsureSuccessStatusCode();
        AttentionResponse response = (await answer.Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, Token))!;
        (float[] output, float[] weights) = SmallService.Expected(most, causal: false);
        Close.Assert(output, [.. response.Output.SelectMany(row => row)], "output");
        Assert.Equal(SmallService.Heads, response.Weights!.Length);
        Assert.All(response.Weights, head => Assert.Equal(most.Length, head.Length));
        Close.Assert(weights, [.. response.Weights.SelectMany(head => head).SelectMany(row => row)], "weights");

        float[][] more = SmallService.Input(SmallService.MaxWeightTokens + 1);
        using HttpResponseMessage refusal = await PostAsync(new(more, Weights: true));
        Assert.Equal("'input' must have at most 4 tokens; it has 5.", (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail);
        using HttpResponseMessage without = await PostAsync(new(more));
        await Answers.AssertRightAsync(without, isFile: false, more, causal: false, Token);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task Keys_behind_a_token_are_hidden_if_asked_for(bool isFile, bool causal)
    {
        float[][] input = SmallService.Input(5, seed: 2);
        using HttpResponseMessage answer = isFile
            ? await service.PostFileAsync(SmallService.Tensor(input), $"?causal={causal}&layer=small", Token)
            : await PostAsync(new(input, "small", causal));
        await Answers.AssertRightAsync(answer, isFile, input, causal, Token);
    }

    [Fact]
    public async Task No_tokens_have_no_rows_of_output_and_for_each_head_none_of_weights()
    {
        using HttpResponseMessage answer = await PostAsync(new([], Weights: true));
        Assert.Equal("""{"output":[],"weights":[[],[]]}""", await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync(Token));
        using HttpResponseMessage file = await service.PostAsync(isFile: true, [], Token);
        await Answers.AssertRightAsync(file, isFile: true, [], causal: false, Token);
    }

    [Theory]
    [InlineData("input", "", "'input' must be [tokens, 8]; it was [2, 4].", 2, 4)]
    [InlineData("input", "", "'input' must be [tokens, 8]; it was [8].", 8)]
    [InlineData("input", "", "'input' must be [tokens, 8]; it was [2, 8, 1].", 2, 8, 1)]
    [InlineData("other", "", "The body has no tensor 'input'.", 1, 8)]
    [InlineData("input", "?layer=large", "'layer' must be one of small; it was 'large'.", 1, 8)]
    public async Task A_file_that_does_not_fit_is_refused(string name, string query, string detail, params int[] lengths)
    {
        Tensor<float> tensor = Tensor.CreateFromShape<float>([.. lengths.Select(length => (nint)length)]);
        using HttpResponseMessage response = await service.PostFileAsync(tensor, query, Token, name);
        Assert.Equal(detail, (await Answers.AssertProblemAsync(response, 400, Token)).Detail);
    }

    [Theory]
    [InlineData("APPLICATION/VND.SAFETENSORS; a=b", 400)]
    [InlineData("application/json; charset=utf-8", 400)]
    [InlineData("application/octet-stream", 415)]
    [InlineData("text/json", 415)]
    [InlineData(null, 415)]
    public async Task The_content_type_says_how_a_body_is_read(string? contentType, int status)
    {
        using HttpResponseMessage response = await service.PostBytesAsync("{"u8.ToArray(), contentType, "", Token);
        (_, string? detail) = await Answers.AssertProblemAsync(response, status, Token);

        // The router refuses other types without a detail, and lets a body without a type through.
        if (contentType is null)
            Assert.Equal("The content type must be application/json or application/vnd.safetensors.", detail);
    }

    [Fact]
    public async Task Layers_are_listed_with_their_sizes_and_types() => Assert.Equal(
        """[{"name":"small","embeddingSize":8,"heads":2,"keyValueHeads":1,"elementType":"float32","causal":false}]""",
        await service.Client.GetStringAsync("/v1/layers", Token));

    [Theory]
    [InlineData("/v1/attention", 405)]
    [InlineData("/v1/nothing", 404)]
    public async Task Other_addresses_are_problems(string address, int status)
    {
        using HttpResponseMessage response = await service.Client.GetAsync(address, Token);
        await Answers.AssertProblemAsync(response, status, Token);
    }

    private Task<HttpResponseMessage> PostAsync(AttentionRequest request) =>
        service.Client.PostAsJsonAsync("/v1/attention", request, ServiceFixture.Json, Token);
}
