using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace AttentionGpu.Bench.Services;

/// <summary>What all clients of sessions count.</summary>
internal sealed class SessionCounts
{
    private long _steps;
    private long _tokens;
    private long _wrong;
    private long _errors;
    private long _forks;
    private long _rewinds;
    private long _cancellations;
    private long _refusals;

    public long Steps => _steps;

    public long Tokens => _tokens;

    public long Wrong => _wrong;

    public long Errors => _errors;

    public string? FirstError { get; private set; }

    public void Answered(int tokens, bool isRight)
    {
        Interlocked.Increment(ref _steps);
        Interlocked.Add(ref _tokens, tokens);
        if (!isRight)
            Interlocked.Increment(ref _wrong);
    }

    public void Failed(string error)
    {
        Interlocked.Increment(ref _errors);
        FirstError ??= error;
    }

    public void Forked() => Interlocked.Increment(ref _forks);

    public void Rewound() => Interlocked.Increment(ref _rewinds);

    public void Cancelled() => Interlocked.Increment(ref _cancellations);

    public void Refused() => Interlocked.Increment(ref _refusals);

    public override string ToString() =>
        $"{_steps} steps, {_tokens} tokens, {_forks} forks, {_rewinds} rewinds, {_cancellations} cancellations, "
        + $"{_refusals} refusals of a full cache";
}

/// <summary>
/// A client that writes a text into a session, mostly token by token, and checks every output. Between, it forks and goes on with either,
/// adds other tokens and rewinds, and leaves in the middle of steps.
/// </summary>
internal sealed class SessionClient(HttpClient http, SessionStreams streams, SessionCounts counts, int number)
{
    private readonly Random _random = new(number);
    private string _session = "";
    private int _stream = number;
    private int _length;

    /// <summary>Writes until the time is over, and closes its session.</summary>
    public async Task RunAsync(CancellationToken end)
    {
        await OpenAsync().ConfigureAwait(false);
        while (!end.IsCancellationRequested)
        {
            try
            {
                await ActAsync().ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException or TaskCanceledException or JsonException)
            {
                counts.Failed(exception.Message);
                await StartAgainAsync().ConfigureAwait(false);
            }
        }

        await CloseAsync(_session).ConfigureAwait(false);
    }

    private Task ActAsync()
    {
        if (_length == SessionStreams.Tokens)
            return StartAgainAsync();
        return _random.Next(20) switch
        {
            0 => ForkAsync(),
            1 or 2 => DraftAsync(),
            3 => LeaveAsync(),
            4 => StepAsync(_random.Next(2, 65)),
            _ => StepAsync(1),
        };
    }

    private async Task StepAsync(int count)
    {
        // Texts that begin alike do so with one long step, of a page that can be shared and some tokens more.
        count = Math.Min(_length == 0 ? 80 : count, SessionStreams.Tokens - _length);
        using HttpResponseMessage response = await SendAsync(_stream, _length, count, CancellationToken.None).ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.TooManyRequests)
        {
            counts.Refused();
            await StartAgainAsync().ConfigureAwait(false);
            return;
        }

        byte[] file = await response.EnsureSuccessStatusCode().Content.ReadAsByteArrayAsync().ConfigureAwait(false);
        int bytes = sizeof(float) * count * GoodClients.Embedding;
        counts.Answered(count, streams.IsRight(_stream, _length, MemoryMarshal.Cast<byte, float>(file.AsSpan(file.Length - bytes))));
        _length += count;
    }

    // The one that is left has other tokens by then.
    private async Task ForkAsync()
    {
        int length = _random.Next(_length + 1);
        using HttpResponseMessage response = await PostAsync($"{_session}/fork?tokens={length}").ConfigureAwait(false);
        if (response.StatusCode == HttpStatusCode.TooManyRequests)
        {
            counts.Refused();
            return;
        }

        string fork = await IdAsync(response).ConfigureAwait(false);
        counts.Forked();
        (string left, int leftLength) = (fork, length);
        if (_random.Next(2) == 0)
            (left, leftLength, _session, _length) = (_session, _length, fork, length);
        if (leftLength < SessionStreams.Tokens)
            (await PostStepAsync(left, _stream + 1, leftLength, 1, CancellationToken.None).ConfigureAwait(false)).Dispose();
        await CloseAsync(left).ConfigureAwait(false);
    }

    private async Task DraftAsync()
    {
        int count = Math.Min(_random.Next(1, 9), SessionStreams.Tokens - _length);
        (await SendAsync(_stream + 1, _length, count, CancellationToken.None).ConfigureAwait(false)).Dispose();
        await RewindAsync().ConfigureAwait(false);
    }

    // The connection is closed in the middle of a step, which may or may not have been added then: a rewind behind it settles that, and the
    // next step names the tokens that it is for.
    private async Task LeaveAsync()
    {
        int count = Math.Min(_random.Next(1, 65), SessionStreams.Tokens - _length);
        using var leave = new CancellationTokenSource(TimeSpan.FromMilliseconds(_random.Next(1, 100)));
        try
        {
            (await SendAsync(_stream + 1, _length, count, leave.Token).ConfigureAwait(false)).Dispose();
        }
        catch (OperationCanceledException)
        {
            counts.Cancelled();
        }

        await RewindAsync().ConfigureAwait(false);
    }

    private async Task RewindAsync()
    {
        using HttpResponseMessage response = await PostAsync($"{_session}/rewind?tokens={_length}").ConfigureAwait(false);
        response.EnsureSuccessStatusCode();
        counts.Rewound();
    }

    // A step that the client has left, and that is added all the same after the rewind, is seen by the length.
    private async Task<HttpResponseMessage> SendAsync(int stream, int first, int count, CancellationToken leave)
    {
        while (true)
        {
            HttpResponseMessage response = await PostStepAsync(_session, stream, first, count, leave).ConfigureAwait(false);
            if (response.StatusCode != HttpStatusCode.Conflict)
                return response;
            response.Dispose();
            await RewindAsync().ConfigureAwait(false);
        }
    }

    private async Task<HttpResponseMessage> PostStepAsync(string session, int stream, int first, int count, CancellationToken leave)
    {
        using var content = new ByteArrayContent(streams.Body(stream, first, count));
        content.Headers.ContentType = new MediaTypeHeaderValue(GoodClients.ContentType);
        return await http.PostAsync($"/v1/sessions/{session}/steps?tokens={first}", content, leave).ConfigureAwait(false);
    }

    private async Task StartAgainAsync()
    {
        await CloseAsync(_session).ConfigureAwait(false);
        _stream = _random.Next(1 << 20);
        await OpenAsync().ConfigureAwait(false);
    }

    private async Task OpenAsync()
    {
        using HttpResponseMessage response = await PostAsync("").ConfigureAwait(false);
        _session = await IdAsync(response).ConfigureAwait(false);
        _length = 0;
    }

    private async Task CloseAsync(string session) =>
        (await http.DeleteAsync(new Uri($"/v1/sessions/{session}", UriKind.Relative)).ConfigureAwait(false)).Dispose();

    private Task<HttpResponseMessage> PostAsync(string path) =>
        http.PostAsync(new Uri($"/v1/sessions{(path.Length == 0 ? "" : "/")}{path}", UriKind.Relative), content: null);

    private static async Task<string> IdAsync(HttpResponseMessage response)
    {
        using Stream body = await response.EnsureSuccessStatusCode().Content.ReadAsStreamAsync().ConfigureAwait(false);
        using JsonDocument session = await JsonDocument.ParseAsync(body).ConfigureAwait(false);
        return session.RootElement.GetProperty("id").GetString()!;
    }
}
