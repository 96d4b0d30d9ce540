using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace AttentionGpu.Hosting.Diagnostics;

/// <summary>
/// The metrics and traces of a service. Their names are <see cref="Name"/>, for meters and sources of OpenTelemetry. A listener that throws
/// does not disturb a request; its first failure is logged.
/// </summary>
public sealed class AttentionInstruments : IDisposable
{
    /// <summary>The name of the meter and of the activity source.</summary>
    public const string Name = "AttentionGpu";

    // Bounds are advice to exporters; without it, those of OpenTelemetry have all times of use in one bucket.
    private static readonly InstrumentAdvice<double> _seconds = new()
    {
        HistogramBucketBoundaries =
        [
            1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
        ],
    };

    private static readonly InstrumentAdvice<int> _requestsOfBatch = new()
    {
        HistogramBucketBoundaries = [1, 2, 4, 8, 16, 32, 64, 128, 256],
    };

    private readonly Meter _meter;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _bytes;
    private readonly Histogram<double> _wait;
    private readonly Histogram<double> _deviceTime;
    private readonly Histogram<int> _batchSize;
    private readonly Counter<long> _tokens;
    private readonly Histogram<double> _interval;
    private readonly Counter<long> _prefixRows;
    private readonly KeyValuePair<string, object?> _service;
    private readonly ServiceLog _log;

    internal AttentionInstruments(
        IMeterFactory meters, string service, Func<int> queueDepth, Func<long> memory, Func<bool> usesFallback,
        Func<IEnumerable<AttentionSessions>> sessions, ServiceLog log)
    {
        _log = log;
        _service = new("attention.service", service);
        _meter = meters.Create(Name);
        _requests = _meter.CreateCounter<long>("attention.requests", "{request}", "Requests that ended, by attention.outcome.");
        _bytes = _meter.CreateCounter<long>("attention.bytes", "By", "Bytes of inputs and outputs of completed requests.");
        _wait = _meter.CreateHistogram(
            "attention.queue.wait", "s", "Time from a request's arrival to the start of its batch.", tags: null, _seconds);
        _deviceTime = _meter.CreateHistogram(
            "attention.device.time", "s", "Time that a batch took on the device, its copies included.", tags: null, _seconds);
        _batchSize = _meter.CreateHistogram(
            "attention.batch.size", "{request}", "Requests that were joined.", tags: null, _requestsOfBatch);
        _meter.CreateObservableGauge(
            "attention.queue.depth", () => new Measurement<int>(queueDepth(), _service), "{request}", "Requests that wait.");
        _meter.CreateObservableGauge(
            "attention.device.memory", () => new Measurement<long>(memory(), _service), "By", "Bytes of device memory in use.");
        _meter.CreateObservableGauge(
            "attention.fallback", () => new Measurement<int>(usesFallback() ? 1 : 0, _service),
            description: "1 while the fallback device is used.");
        _tokens = _meter.CreateCounter<long>("attention.session.tokens", "{token}", "Tokens of completed steps of sessions.");
        _interval = _meter.CreateHistogram(
            "attention.session.interval", "s", "Time from the end of a session's step to the end of its next.", tags: null, _seconds);
        _prefixRows = _meter.CreateCounter<long>(
            "attention.prefix.tokens", "{token}",
            "Tokens of first steps where prefixes are kept, by attention.shared: whether one had them.");
        Observe(sessions);
    }

    private void Observe(Func<IEnumerable<AttentionSessions>> sessions)
    {
        Gauge("attention.cache.bytes", "By", "Bytes of device memory for keys and values of sessions, used or not.", one => one.CacheBytes);
        Gauge("attention.cache.pages.free", "{page}", "Pages that no session and no kept prefix holds.", one => one.FreePages);
        Gauge("attention.cache.spilled", "By", "Bytes of sessions' rows in host memory.", one => one.SpilledBytes);
        Gauge("attention.prefix.kept", "{prefix}", "Prefixes whose rows and outputs are kept.", one => one.Memory.Prefixes);
        Gauge("attention.sessions.open", "{session}", "Sessions that are open.", one => one.Count);
        Gauge("attention.sessions.spilled", "{session}", "Sessions whose rows are in host memory.", one => one.Spilled);

        void Gauge(string name, string unit, string description, Func<AttentionSessions, long> value) => _meter.CreateObservableGauge(
            name, () => sessions().Select(one => new Measurement<long>(value(one), _service, new("attention.layer", one.Layer.Name))), unit,
            description);
    }

    internal static ActivitySource Source { get; } = new(Name);

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    /// <summary>Starts the activity of a request. It ends on another thread, so the caller keeps the activity it had.</summary>
    internal Activity? Start(string layer, int tokens)
    {
        Activity? before = Activity.Current;
        try
        {
            return Source.StartActivity("attention.forward")?.SetTag(_service.Key, _service.Value).SetTag("attention.layer", layer)
                .SetTag("attention.tokens", tokens);
        }
        catch (Exception exception)
        {
            _log.ListenerFailed(exception);
            return null;
        }
        finally
        {
            Activity.Current = before;
        }
    }

    internal void Ended(Activity? activity, string outcome)
    {
        Activity? before = Activity.Current;
        ActivityStatusCode status = outcome == "failed" ? ActivityStatusCode.Error : ActivityStatusCode.Unset;
        Tell(() => _requests.Add(1, _service, new("attention.outcome", outcome)));
        Tell(() => activity?.SetTag("attention.outcome", outcome).SetStatus(status).Dispose());
        Activity.Current = before;
    }

    internal void Batch(int requests, long bytes, TimeSpan time)
    {
        Tell(() => _batchSize.Record(requests, _service));
        Tell(() => _deviceTime.Record(time.TotalSeconds, _service));
        Tell(() => _bytes.Add(bytes, _service));
    }

    /// <summary>A step has ended well.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="tokens">Its tokens.</param>
    /// <param name="interval">The time since the session's last step; null for the first.</param>
    internal void Stepped(string layer, int tokens, TimeSpan? interval)
    {
        Tell(() => _tokens.Add(tokens, _service, new("attention.layer", layer)));
        if (interval is { } time)
            Tell(() => _interval.Record(time.TotalSeconds, _service, new("attention.layer", layer)));
    }

    /// <summary>A prefix was looked for.</summary>
    internal void LookedUp(string layer, int shared, int computed)
    {
        Tell(() => _prefixRows.Add(shared, _service, new("attention.layer", layer), new("attention.shared", true)));
        Tell(() => _prefixRows.Add(computed, _service, new("attention.layer", layer), new("attention.shared", false)));
    }

    internal void Waited(TimeSpan time) => Tell(() => _wait.Record(time.TotalSeconds, _service));

    private void Tell(Action tell)
    {
        try
        {
            tell();
        }
        catch (Exception exception)
        {
            _log.ListenerFailed(exception);
        }
    }
}
