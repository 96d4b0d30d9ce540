using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using AttentionGpu.Hosting;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>Sessions over HTTP, of the small service's layer with a cache.</summary>
public sealed class SessionEndpointTests : IDisposable
{
    private const string Sessions = "/v1/sessions";

    private readonly SmallService _service = new() { TransferSeconds = 60 };
    private readonly AttentionSessions _sessions;

    public SessionEndpointTests()
    {
        _service.Start();
        _sessions = _service.AddSessions("kept", new() { PageSize = 16, Pages = 4, Sessions = 3, Capacity = 32 });
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => _service.Dispose();

    [Fact]
    public async Task A_session_is_opened_stepped_forked_rewound_and_closed()
    {
        float[][] rows = SmallService.Input(5);
        SessionDescription opened = await OpenAsync();
        Assert.Equal(("kept", 0, 32), (opened.Layer, opened.Tokens, opened.Capacity));
        await AssertStepAsync(opened.Id, rows[..3], rows[..3]);
        using HttpResponseMessage forked = await _service.Client.PostAsync($"{Sessions}/{opened.Id}/fork?tokens=2", null, Token);
        Assert.Equal(HttpStatusCode.Created, forked.StatusCode);
        SessionDescription fork = (await forked.Content.ReadFromJsonAsync<SessionDescription>(ServiceFixture.Json, Token))!;
        Assert.Equal(($"{Sessions}/{fork.Id}", 2), ($"{forked.Headers.Location}", fork.Tokens));
        await AssertStepAsync(fork.Id, rows[4..], [rows[0], rows[1], rows[4]], isFile: true);
        using HttpResponseMessage rewound = await _service.Client.PostAsync($"{Sessions}/{opened.Id}/rewind?tokens=1", null, Token);
        Assert.Equal(1, (await rewound.Content.ReadFromJsonAsync<SessionDescription>(ServiceFixture.Json, Token))!.Tokens);
        await AssertStepAsync(opened.Id, [rows[3]], [rows[0], rows[3]]);
        SessionDescription now = (await _service.Client.GetFromJsonAsync<SessionDescription>($"{Sessions}/{opened.Id}", ServiceFixture.Json, Token))!;
        Assert.Equal(opened with { Tokens = 2 }, now);
        foreach (string id in (string[])[opened.Id, fork.Id])
        {
            using HttpResponseMessage closed = await _service.Client.DeleteAsync(new Uri($"{Sessions}/{id}", UriKind.Relative), Token);
            Assert.Equal(HttpStatusCode.NoContent, closed.StatusCode);
        }

        await AssertProblemAsync(HttpMethod.Get, $"{Sessions}/{opened.Id}", 404, "There is no session");
        Assert.Equal((0, 4), (_sessions.Count, _sessions.FreePages));
    }

    [Fact]
    public async Task What_a_session_does_not_take_is_a_problem_and_changes_nothing()
    {
        SessionDescription session = await OpenAsync();
        string one = $"{Sessions}/{session.Id}";
        await AssertStepAsync(session.Id, SmallService.Input(2), SmallService.Input(2));
        await AssertProblemAsync(HttpMethod.Post, $"{Sessions}?layer=small", 400, "The layer 'small' has no sessions");
        await AssertProblemAsync(HttpMethod.Post, $"{Sessions}?layer=none", 400, "must be one of kept, small");
        await AssertProblemAsync(HttpMethod.Post, $"{Sessions}?tokens=1", 400, "The query may have 'layer'; it has 'tokens'");
        await AssertProblemAsync(HttpMethod.Post, $"{one}/fork?tokens=3", 400, "'tokens' in the query must be a whole number from 0 to 2; it was '3'");
        await AssertProblemAsync(HttpMethod.Post, $"{one}/rewind?tokens=-1", 400, "from 0 to 2; it was '-1'");
        await AssertProblemAsync(HttpMethod.Post, $"{one}/rewind", 400, "'tokens' must be in the query");
        await AssertProblemAsync(HttpMethod.Get, $"{one}?x=1", 400, "The query must be empty; it has 'x'");
        await AssertProblemAsync(HttpMethod.Delete, $"{Sessions}/other", 404, "There is no session 'other'");
        await AssertStepProblemAsync($"{one}/steps", """{"input":[[1,2]]}""", 400, "Row 0 of 'input' must have 8 numbers");
        await AssertStepProblemAsync($"{one}/steps", """{"input":[],"weights":true}""", 400, "'weights' must be left out in a step");
        await AssertStepProblemAsync($"{one}/steps", """{"input":[],"causal":true}""", 400, "'causal' and 'weights' must be left out");
        await AssertStepProblemAsync($"{one}/steps", """{"input":[],"layer":"small"}""", 400, "'layer' must be the same");
        await AssertStepProblemAsync($"{one}/steps?causal=true", """{"input":[]}""", 400, "The query may have 'tokens'");
        await AssertStepProblemAsync($"{one}/steps?tokens=1", """{"input":[]}""", 409, "has 2 tokens; the step is for one that has 1");
        await AssertStepProblemAsync($"{Sessions}/other/steps", """{"input":[]}""", 404, "There is no session 'other'");
        float[][] more = SmallService.Input(3);
        await AssertStepAsync(session.Id, [more[2]], more, query: "?tokens=2");
    }

    [Fact]
    public async Task A_full_cache_and_too_many_sessions_are_429_with_a_time_to_try_again()
    {
        SessionDescription session = await OpenAsync();
        SessionDescription other = await OpenAsync();
        SessionDescription third = await OpenAsync();
        await AssertProblemAsync(HttpMethod.Post, $"{Sessions}?layer=kept", 429, "Sessions is 3");
        foreach (SessionDescription full in (SessionDescription[])[session, other])
        {
            for (int i = 0; i < 4; i++)
                await StepAsync(full.Id, SmallService.Input(6));
        }

        using HttpResponseMessage refused = await StepAsync(third.Id, SmallService.Input(1));
        (_, string? detail) = await Answers.AssertProblemAsync(refused, 429, Token);
        Assert.Contains("1 pages of 16 rows are needed; 0 of the cache's 4 are free", detail, StringComparison.Ordinal);
        Assert.Equal("1", refused.Headers.GetValues("Retry-After").Single());
        for (int i = 0; i < 2; i++)
            await StepAsync(session.Id, SmallService.Input(4));
        await AssertStepProblemAsync(
            $"{Sessions}/{session.Id}/steps", $$"""{"input":[[{{string.Join(',', new float[8])}}]]}""", 429, "the session has 32 tokens");
    }

    [Fact]
    public async Task A_client_that_goes_while_its_step_runs_leaves_the_session_as_it_was()
    {
        SessionDescription session = await OpenAsync();
        float[][] rows = SmallService.Input(3);
        await AssertStepAsync(session.Id, rows[..2], rows[..2]);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var gate = new ManualResetEventSlim();
        _service.Device.BeforeLinear = () =>
        {
            reached.TrySetResult();
            gate.Wait();
        };
        using var gone = new CancellationTokenSource();
        Task step = StepAsync(session.Id, SmallService.Input(6, seed: 7), gone.Token);
        await reached.Task.WaitAsync(Wait.Patience, Token);
        await gone.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => step);
        gate.Set();
        await Wait.UntilAsync(() => !_sessions.Find(session.Id)!.IsBusy);
        await AssertStepAsync(session.Id, rows[2..], rows);
    }

    [Fact]
    public async Task A_session_is_another_clients_as_little_as_one_that_is_not_there()
    {
        using var guarded = new GuardedService(
            ("Access:Scheme", "ApiKey"), ("Access:Keys:alice", "0123456789abcdef-alice"), ("Access:Keys:bob", "0123456789abcdef-bob"));
        string[] keys = ["0123456789abcdef-alice", "0123456789abcdef-bob"];
        using (HttpResponseMessage without = await guarded.SendAsync(new(HttpMethod.Post, Sessions), Token))
            Assert.Equal(HttpStatusCode.Unauthorized, without.StatusCode);
        var attention = guarded.Services.GetRequiredService<IAttentionService>();
        SmallService.AddSessions(attention, "kept", new() { Sessions = 2, Capacity = 32 });
        using HttpResponseMessage opened = await guarded.SendAsync(
            new(HttpMethod.Post, $"{Sessions}?layer=kept"), Token, headers: ("X-Api-Key", keys[0]));
        SessionDescription session = (await opened.Content.ReadFromJsonAsync<SessionDescription>(ServiceFixture.Json, Token))!;
        using HttpResponseMessage own = await guarded.GetAsync($"{Sessions}/{session.Id}", Token, headers: ("X-Api-Key", keys[0]));
        Assert.Equal(HttpStatusCode.OK, own.StatusCode);
        foreach ((HttpMethod method, string path) in ((HttpMethod, string)[])
            [
                (HttpMethod.Get, ""), (HttpMethod.Delete, ""), (HttpMethod.Post, "/fork"), (HttpMethod.Post, "/rewind?tokens=0"),
                (HttpMethod.Post, "/steps"),
            ])
        {
            using HttpResponseMessage others = await guarded.SendAsync(
                new(method, $"{Sessions}/{session.Id}{path}"), Token, headers: ("X-Api-Key", keys[1]));
            await Answers.AssertProblemAsync(others, 404, Token);
        }
    }

    [Fact]
    public async Task Sessions_are_described()
    {
        using JsonDocument description = JsonDocument.Parse(await _service.Client.GetStringAsync(GuardedService.Description, Token));
        JsonElement paths = description.RootElement.GetProperty("paths");
        JsonElement step = paths.GetProperty("/v1/sessions/{id}/steps").GetProperty("post");
        Assert.Equal(["id", "tokens"], Names(step));
        JsonElement content = step.GetProperty("requestBody").GetProperty("content");
        Assert.Equal("binary", content.GetProperty(SafetensorsBody.ContentType).GetProperty("schema").GetProperty("format").GetString());
        Assert.Equal(["id", "tokens"], Names(paths.GetProperty("/v1/sessions/{id}/rewind").GetProperty("post")));
        Assert.Equal(["layer"], Names(paths.GetProperty("/v1/sessions").GetProperty("post")));
        Assert.True(paths.GetProperty("/v1/sessions/{id}").GetProperty("delete").GetProperty("responses").TryGetProperty("204", out _));
        LayerDescription[] layers =
            (await _service.Client.GetFromJsonAsync<LayerDescription[]>(GuardedService.Layers, ServiceFixture.Json, Token))!;
        Assert.Equal([32, null], layers.OrderBy(layer => layer.Name).Select(layer => layer.SessionTokens));

        static string?[] Names(JsonElement operation) =>
            [.. operation.GetProperty("parameters").EnumerateArray().Select(one => one.GetProperty("name").GetString()).Order()];
    }

    private async Task<SessionDescription> OpenAsync()
    {
        using HttpResponseMessage opened = await _service.Client.PostAsync($"{Sessions}?layer=kept", null, Token);
        Assert.Equal(HttpStatusCode.Created, opened.StatusCode);
        SessionDescription session = (await opened.Content.ReadFromJsonAsync<SessionDescription>(ServiceFixture.Json, Token))!;
        Assert.Equal($"{Sessions}/{session.Id}", $"{opened.Headers.Location}");
        return session;
    }

    private Task<HttpResponseMessage> StepAsync(string id, float[][] rows, CancellationToken? token = null, string query = "") =>
        _service.Client.PostAsJsonAsync($"{Sessions}/{id}/steps{query}", new StepBody(rows), ServiceFixture.Json, token ?? Token);

    // The output of a step is that of the last of all rows.
    private async Task AssertStepAsync(string id, float[][] rows, float[][] all, bool isFile = false, string query = "")
    {
        float[] output;
        if (isFile)
        {
            using var body = new MemoryStream();
            SafetensorsFile.Write(body, new Dictionary<string, System.Numerics.Tensors.Tensor<float>> { [SafetensorsBody.Input] = SmallService.Tensor(rows) });
            using var content = new ByteArrayContent(body.ToArray());
            content.Headers.ContentType = new MediaTypeHeaderValue(SafetensorsBody.ContentType);
            using HttpResponseMessage response = await _service.Client.PostAsync($"{Sessions}/{id}/steps{query}", content, Token);
            byte[] bytes = await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync(Token);
            using SafetensorsFile file = SafetensorsFile.Open(new MemoryStream(bytes));
            output = [.. file.Read(SafetensorsBody.Output)];
        }
        else
        {
            using HttpResponseMessage response = await StepAsync(id, rows, query: query);
            StepAnswer answer = (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<StepAnswer>(ServiceFixture.Json, Token))!;
            output = [.. answer.Output.SelectMany(row => row)];
        }

        float[] expected = SmallService.Expected(all, causal: true).Output;
        Close.Assert(expected[^(rows.Length * SmallService.Embedding)..], output, string.Create(CultureInfo.InvariantCulture, $"{all.Length} tokens"));
    }

    private async Task AssertStepProblemAsync(string path, string body, int status, string detail)
    {
        using var content = new StringContent(body, new MediaTypeHeaderValue("application/json"));
        using HttpResponseMessage response = await _service.Client.PostAsync(path, content, Token);
        (_, string? actual) = await Answers.AssertProblemAsync(response, status, Token);
        Assert.Contains(detail, actual, StringComparison.Ordinal);
    }

    private async Task AssertProblemAsync(HttpMethod method, string path, int status, string detail)
    {
        using var request = new HttpRequestMessage(method, path);
        using HttpResponseMessage response = await _service.Client.SendAsync(request, Token);
        (_, string? actual) = await Answers.AssertProblemAsync(response, status, Token);
        Assert.Contains(detail, actual, StringComparison.Ordinal);
    }
}
