using System.Collections.Concurrent;
using System.Diagnostics;
using AttentionGpu.Hosting.Diagnostics;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A request is an activity from its arrival to its end.</summary>
public sealed class TraceTests : IDisposable
{
    private readonly ConcurrentQueue<Activity> _ended = new();
    private readonly ActivityTraceId _trace;
    private readonly ActivityListener _listener;
    private readonly Activity _caller;

    public TraceTests()
    {
        _caller = new Activity("caller").SetIdFormat(ActivityIdFormat.W3C).Start();
        _trace = _caller.TraceId;

        // Other tests run at the same time: theirs have another trace. A listener is told of all that end, whoever wanted them.
        _listener = new ActivityListener
        {
            ShouldListenTo = source => source.Name == AttentionInstruments.Name,
            Sample = (ref ActivityCreationOptions<ActivityContext> options) =>
                options.TraceId == _trace ? ActivitySamplingResult.AllDataAndRecorded : ActivitySamplingResult.None,
            ActivityStopped = activity =>
            {
                if (activity.TraceId == _trace)
                    _ended.Enqueue(activity);
            },
        };
        ActivitySource.AddActivityListener(_listener);
    }

    public void Dispose()
    {
        _listener.Dispose();
        _caller.Dispose();
    }

    [Fact]
    public async Task An_activity_tells_the_request_and_its_outcome()
    {
        await using GatedService gated = await GatedService.StartAsync(new() { QueueLimit = 3 });
        gated.Device.FailOn(7);
        using var cancellation = new CancellationTokenSource();
        SentRequest completed = gated.Send(2, gated.Other);
        SentRequest failed = gated.Send(7);
        SentRequest cancelled = gated.SendUntil(3, cancellation.Token);
        Assert.Throws<AttentionOverloadedException>(() => gated.Send(4));
        Assert.Same(_caller, Activity.Current);
        await cancellation.CancelAsync();
        gated.Open();
        await completed.AssertRightAsync();
        await Assert.ThrowsAsync<AttentionDeviceException>(() => failed.Task);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.Task);
        Assert.Equal(
            [
                ("layer", 1, "completed", ActivityStatusCode.Unset),
                ("other", 2, "completed", ActivityStatusCode.Unset),
                ("layer", 3, "cancelled", ActivityStatusCode.Unset),
                ("layer", 4, "overloaded", ActivityStatusCode.Unset),
                ("layer", 7, "failed", ActivityStatusCode.Error),
            ],
            _ended.Select(activity => (
                (string?)activity.GetTagItem("attention.layer"), (int?)activity.GetTagItem("attention.tokens"),
                (string?)activity.GetTagItem("attention.outcome"), activity.Status)).OrderBy(activity => activity.Item2));
        Assert.All(_ended, activity => Assert.Equal(
            ("attention.forward", "test", _caller.SpanId),
            (activity.OperationName, activity.GetTagItem("attention.service"), activity.ParentSpanId)));
    }
}
