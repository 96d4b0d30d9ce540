using System.Diagnostics.Metrics;
using System.Net;
using Microsoft.Extensions.DependencyInjection;

namespace AttentionGpu.Service.Tests;

/// <summary>Answers of a service whose device fails, waits or is wrong.</summary>
public sealed class StatusTests : IDisposable
{
    private readonly SmallService _service = new();
    private readonly ManualResetEventSlim _gate = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _gate.Set();
        _service.Dispose();
        _gate.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_full_queue_is_503_and_the_requests_that_wait_are_answered(bool isFile)
    {
        _service.Options.QueueLimit = 1;
        float[][] input = SmallService.Input(3);
        Task<HttpResponseMessage> running = await PostToGateAsync(input);
        Task<HttpResponseMessage> waiting = _service.PostAsync(isFile, input, Token);
        await UntilQueuedAsync();
        using HttpResponseMessage refusal = await _service.PostAsync(isFile, input, Token);
        (string? title, string? detail) = await AssertTryAgainAsync(refusal);
        Assert.Equal("The service has too much to do.", title);
        Assert.StartsWith("As many requests are waiting as may: QueueLimit is 1", detail, StringComparison.Ordinal);
        _gate.Set();
        using HttpResponseMessage first = await running;
        await Answers.AssertRightAsync(first, isFile: false, input, causal: false, Token);
        using HttpResponseMessage second = await waiting;
        await Answers.AssertRightAsync(second, isFile, input, causal: false, Token);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_leaves_cancels_its_request(bool isFile)
    {
        Task<HttpResponseMessage> running = await PostToGateAsync(SmallService.Input(3));
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using MeterListener listener = ListenToOutcomes(outcome =>
        {
            if (outcome == "cancelled")
                cancelled.TrySetResult();
        });
        using var leaving = new CancellationTokenSource();
        Task<HttpResponseMessage> left = _service.PostAsync(isFile, SmallService.Input(2), leaving.Token);
        await UntilQueuedAsync();
        await leaving.CancelAsync();
        await cancelled.Task.WaitAsync(Wait.Patience, Token);
        _gate.Set();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        using HttpResponseMessage answer = await running;
        await Answers.AssertRightAsync(answer, isFile: false, SmallService.Input(3), causal: false, Token);
        await ((IAsyncDisposable)_service.Attention).DisposeAsync();
        Assert.DoesNotContain("2, 2 heads", _service.Device.Batches);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Too_little_memory_is_503(bool isFile)
    {
        _service.Start();
        _service.Device.BeforeAttention = _ => throw new AttentionMemoryException(30, 20, 40L);
        using HttpResponseMessage response = await _service.PostAsync(isFile, SmallService.Input(3), Token);
        (string? title, string? detail) = await AssertTryAgainAsync(response);
        Assert.Equal("There is not enough memory.", title);
        Assert.Equal(new AttentionMemoryException(30, 20, 40L).Message, detail);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_service_that_shuts_down_is_503(bool isFile)
    {
        await ((IAsyncDisposable)_service.Attention).DisposeAsync();
        using HttpResponseMessage response = await _service.PostAsync(isFile, SmallService.Input(3), Token);
        Assert.Equal(("The service is shutting down.", null), await AssertTryAgainAsync(response));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_device_that_fails_is_500_and_its_message_stays_inside(bool isFile)
    {
        _service.Start();
        _service.Device.BeforeAttention = _ => throw new InvalidOperationException("an inner secret");
        using HttpResponseMessage response = await _service.PostAsync(isFile, SmallService.Input(3), Token);
        Assert.Equal(("The device failed.", null), await Answers.AssertProblemAsync(response, 500, Token));
        Assert.DoesNotContain("secret", await response.Content.ReadAsStringAsync(Token), StringComparison.Ordinal);
        Assert.Null(response.Headers.RetryAfter);
        _service.Device.BeforeAttention = _ => { };
        using HttpResponseMessage next = await _service.PostAsync(isFile, SmallService.Input(3), Token);
        await Answers.AssertRightAsync(next, isFile, SmallService.Input(3), causal: false, Token);
    }

    [Fact]
    public async Task Health_is_503_for_a_wrong_device_and_200_for_the_fallback()
    {
        _service.Options.FallbackDevice = "simd";
        await AssertHealthAsync(HttpStatusCode.OK, "Healthy");
        _service.Device.BeforeAttention = _ => throw new InvalidOperationException("lost");
        await AssertHealthAsync(HttpStatusCode.ServiceUnavailable, "Unhealthy");
        using HttpResponseMessage failed = await _service.PostAsync(isFile: false, SmallService.Input(3), Token);
        await AssertHealthAsync(HttpStatusCode.OK, "Degraded");
    }

    [Fact]
    public async Task Without_a_name_there_must_be_one_layer()
    {
        float[][] input = SmallService.Input(2);
        using HttpResponseMessage one = await _service.PostAsync(isFile: false, input, Token);
        await Answers.AssertRightAsync(one, isFile: false, input, causal: false, Token);
        _service.AddLayer<float>("another");
        using HttpResponseMessage two = await _service.PostAsync(isFile: false, input, Token);
        Assert.Equal(
            "'layer' must be one of another, small; it was ''.", (await Answers.AssertProblemAsync(two, 400, Token)).Detail);
    }

    private static async Task<(string? Title, string? Detail)> AssertTryAgainAsync(HttpResponseMessage response)
    {
        Assert.Equal(TimeSpan.FromSeconds(1), response.Headers.RetryAfter?.Delta);
        return await Answers.AssertProblemAsync(response, 503, Token);
    }

    private async Task AssertHealthAsync(HttpStatusCode status, string text)
    {
        using HttpResponseMessage response = await _service.Client.GetAsync("/health", Token);
        Assert.Equal((status, text), (response.StatusCode, await response.Content.ReadAsStringAsync(Token)));
    }

    /// <summary>Sends a request, and returns when the device has it and waits at the gate.</summary>
    private async Task<Task<HttpResponseMessage>> PostToGateAsync(float[][] input)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _service.Start();
        _service.Device.BeforeLinear = () =>
        {
            reached.TrySetResult();
            _gate.Wait();
        };
        Task<HttpResponseMessage> running = _service.PostAsync(isFile: false, input, Token);
        await reached.Task.WaitAsync(Wait.Patience, Token);
        return running;
    }

    private Task UntilQueuedAsync() => Wait.UntilAsync(() => _service.Attention.QueueDepth != 0);

    // Only this service's: other tests run at the same time.
    private MeterListener ListenToOutcomes(Action<string?> ended)
    {
        object meters = _service.Services.GetRequiredService<IMeterFactory>();
        var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Name == "attention.requests" && instrument.Meter.Scope == meters)
                    listener.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, _, tags, _) =>
        {
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                if (tag.Key == "attention.outcome")
                    ended(tag.Value as string);
            }
        });
        listener.Start();
        return listener;
    }
}
