using System.Globalization;
using System.Net.Http.Json;
using System.Numerics.Tensors;
using System.Text;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Service.Tests;

/// <summary>Requests of layers of 16-bit elements, and answers in the type of the layer.</summary>
public class ElementTests(SmallService service) : IClassFixture<SmallService>
{
    private const int Tokens = 4;

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Half_comes_and_goes_as_F16(bool causal) => await AssertAnsweredAsync<Half>(SafetensorsType.F16, causal);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task BFloat16_comes_and_goes_as_BF16(bool causal) => await AssertAnsweredAsync<BFloat16>(SafetensorsType.BF16, causal);

    [Fact]
    public async Task Numbers_are_rounded_to_Half() => await AssertNumbersAreRoundedAsync<Half>();

    [Fact]
    public async Task Numbers_are_rounded_to_BFloat16() => await AssertNumbersAreRoundedAsync<BFloat16>();

    [Fact]
    public async Task A_layer_of_float32_takes_16_bits_and_answers_in_float32()
    {
        float[] values = ElementArrays.Widen(Values<BFloat16>());
        using HttpResponseMessage answer = await service.PostFileAsync(Rows(Values<BFloat16>()), "?layer=small", Token);
        (float[] output, SafetensorsType type) = await ReadAsync<float>(answer);
        Assert.Equal(SafetensorsType.F32, type);
        Close.Assert(SmallService.Expected([.. values.Chunk(SmallService.Embedding)], causal: false).Output, output, "output");
    }

    [Fact]
    public async Task Elements_that_would_be_rounded_are_refused()
    {
        string half = Add<Half>();
        string brain = Add<BFloat16>();
        await AssertRefusedAsync<float>(half, "'input' must be F16 for the layer '{0}'; it was F32.");
        await AssertRefusedAsync<BFloat16>(half, "'input' must be F16 for the layer '{0}'; it was BF16.");
        await AssertRefusedAsync<Half>(brain, "'input' must be BF16 for the layer '{0}'; it was F16.");
    }

    [Fact]
    public async Task An_element_type_that_is_not_read_is_refused_by_its_name()
    {
        byte[] header = Encoding.UTF8.GetBytes(
            $$$"""{"input":{"dtype":"F8_E4M3","shape":[2,{{{SmallService.Embedding}}}],"data_offsets":[0,{{{2 * SmallService.Embedding}}}]}}""");
        byte[] file = [.. BitConverter.GetBytes((long)header.Length), .. header, .. new byte[2 * SmallService.Embedding]];
        using HttpResponseMessage refusal = await service.PostBytesAsync(file, SafetensorsBody.ContentType, "?layer=small", Token);
        Assert.Equal(
            "'input' must be F32, F16, BF16 for the layer 'small'; it was F8_E4M3.",
            (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail);
    }

    [Fact]
    public async Task A_number_beyond_the_range_of_the_layer_is_refused()
    {
        string layer = Add<Half>();
        float[][] input = SmallService.Input(2);
        input[1][3] = 65520f;
        using HttpResponseMessage refusal = await PostAsync(new(input, layer));
        Assert.Equal(
            "Row 1 of 'input' has the number 65520, which float16, the layer's type, does not reach.",
            (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail);
        (input[1][3], input[0][0]) = (65519f, float.NegativeInfinity);
        using HttpResponseMessage answer = await PostAsync(new(input, layer));
        answer.EnsureSuccessStatusCode();
    }

    [Fact]
    public async Task NaN_comes_back_as_NaN()
    {
        float[][] input = SmallService.Input(2);
        input[0][5] = float.NaN;
        using HttpResponseMessage answer = await PostAsync(new(input, Add<Half>()));
        AttentionResponse response = await ReadNumbersAsync(answer);
        Assert.True(float.IsNaN(response.Output[1][0]));
    }

    [Fact]
    public async Task The_list_of_layers_has_their_types()
    {
        string half = Add<Half>();
        string brain = Add<BFloat16>();
        LayerDescription[] layers = (await service.Client.GetFromJsonAsync<LayerDescription[]>("/v1/layers", ServiceFixture.Json, Token))!;
        Assert.Equal(
            ["float32", "float16", "bfloat16"],
            new[] { "small", half, brain }.Select(name => layers.Single(layer => layer.Name == name).ElementType));
    }

    private async Task AssertAnsweredAsync<T>(SafetensorsType expected, bool causal)
        where T : unmanaged
    {
        T[] input = Values<T>();
        string query = string.Create(CultureInfo.InvariantCulture, $"?layer={Add<T>()}&causal={causal}");
        using HttpResponseMessage answer = await service.PostFileAsync(Rows(input), query, Token);
        (T[] output, SafetensorsType type) = await ReadAsync<T>(answer);
        Assert.Equal(expected, type);
        (float[] right, _) = SmallService.Expected<T>(input, causal);
        Close.Assert(right, ElementArrays.Widen(output), "output", ElementArrays.Tolerance<T>());
    }

    private async Task AssertNumbersAreRoundedAsync<T>()
        where T : unmanaged
    {
        float[][] input = SmallService.Input(Tokens, seed: 3);
        using HttpResponseMessage answer = await PostAsync(new(input, Add<T>(), Causal: true, Weights: true));
        AttentionResponse response = await ReadNumbersAsync(answer);
        (float[] output, float[] weights) = SmallService.Expected(ElementArrays.Round<T>([.. input.SelectMany(row => row)]), causal: true);
        float[] actual = [.. response.Output.SelectMany(row => row)];
        Close.Assert(output, actual, "output", ElementArrays.Tolerance<T>());
        Assert.Equal(ElementArrays.Widen(ElementArrays.Round<T>(actual)), actual);
        Close.Assert(
            weights, [.. response.Weights!.SelectMany(head => head).SelectMany(row => row)], "weights", ElementArrays.Tolerance<T>());
    }

    private async Task AssertRefusedAsync<T>(string layer, string detail)
        where T : unmanaged
    {
        using HttpResponseMessage refusal = await service.PostFileAsync(Rows(Values<T>()), $"?layer={layer}", Token);
        Assert.Equal(
            string.Format(CultureInfo.InvariantCulture, detail, layer), (await Answers.AssertProblemAsync(refusal, 400, Token)).Detail);
    }

    private string Add<T>()
        where T : unmanaged
    {
        string name = $"{typeof(T).Name}-{Guid.NewGuid()}";
        service.AddLayer<T>(name);
        return name;
    }

    private static T[] Values<T>() => ElementArrays.Round<T>([.. SmallService.Input(Tokens, seed: 2).SelectMany(row => row)]);

    private static Tensor<T> Rows<T>(T[] values) => Tensor.Create(values, [values.Length / SmallService.Embedding, SmallService.Embedding]);

    private static async Task<(T[] Output, SafetensorsType Type)> ReadAsync<T>(HttpResponseMessage response)
        where T : unmanaged
    {
        byte[] body = await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync(Token);
        using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(body));
        SafetensorsEntry entry = file.Entries[SafetensorsBody.Output];
        Assert.Equal([Tokens, SmallService.Embedding], entry.Lengths);
        return (Data.Flat(file.Read<T>(SafetensorsBody.Output)), entry.Type);
    }

    private static async Task<AttentionResponse> ReadNumbersAsync(HttpResponseMessage response) =>
        (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, Token))!;

    private Task<HttpResponseMessage> PostAsync(AttentionRequest request) =>
        service.Client.PostAsJsonAsync("/v1/attention", request, ServiceFixture.Json, Token);
}
