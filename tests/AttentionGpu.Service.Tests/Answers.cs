using System.Net.Http.Json;
using System.Text.Json;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Service.Tests;

/// <summary>Checks of answers.</summary>
internal static class Answers
{
    /// <summary>Fails unless the answer is a problem of this status; returns its title and detail.</summary>
    public static async Task<(string? Title, string? Detail)> AssertProblemAsync(
        HttpResponseMessage response, int status, CancellationToken token)
    {
        string body = await response.Content.ReadAsStringAsync(token);
        Assert.True((int)response.StatusCode == status, $"{response.StatusCode}: {body}");
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        using JsonDocument problem = JsonDocument.Parse(body);
        Assert.Equal(status, problem.RootElement.GetProperty("status").GetInt32());
        return (Text("title"), Text("detail"));

        string? Text(string property) => problem.RootElement.TryGetProperty(property, out JsonElement element) ? element.GetString() : null;
    }

    /// <summary>Fails unless the output is the layer's, in the kind of the request.</summary>
    public static async Task AssertRightAsync(
        HttpResponseMessage response, bool isFile, float[][] input, bool causal, CancellationToken token)
    {
        response.EnsureSuccessStatusCode();
        float[] output;
        if (isFile)
        {
            Assert.Equal(SafetensorsBody.ContentType, response.Content.Headers.ContentType?.MediaType);
            using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(await response.Content.ReadAsByteArrayAsync(token)));
            Assert.Equal([input.Length, SmallService.Embedding], file.Entries[SafetensorsBody.Output].Lengths);
            output = [.. file.Read(SafetensorsBody.Output)];
        }
        else
        {
            AttentionResponse answer = (await response.Content.ReadFromJsonAsync<AttentionResponse>(ServiceFixture.Json, token))!;
            Assert.Null(answer.Weights);
            output = [.. answer.Output.SelectMany(row => row)];
        }

        Close.Assert(SmallService.Expected(input, causal).Output, output, "output");
    }
}
