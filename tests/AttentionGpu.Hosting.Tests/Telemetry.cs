using System.Diagnostics.Metrics;
using AttentionGpu.Hosting.Diagnostics;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace AttentionGpu.Hosting.Tests;

/// <summary>
/// The metrics of one service as OpenTelemetry exports them. Its meter has a name of its own, since OpenTelemetry joins meters of one
/// name and other tests run at the same time.
/// </summary>
internal sealed class Telemetry : IMeterFactory
{
    private readonly string _name = $"{AttentionInstruments.Name}.{Guid.NewGuid()}";
    private readonly List<MetricSnapshot> _exported = [];
    private readonly MeterProvider _provider;

    public Telemetry() => _provider = Sdk.CreateMeterProviderBuilder().AddMeter(_name).AddInMemoryExporter(_exported).Build();

    public Meter Create(MeterOptions options)
    {
        Assert.Equal(AttentionInstruments.Name, options.Name);
        options.Name = _name;
        return new Meter(options);
    }

    /// <summary>All instruments with a measurement, as they are now.</summary>
    public IReadOnlyDictionary<string, MetricSnapshot> Read()
    {
        _exported.Clear();
        _provider.ForceFlush();
        return _exported.ToDictionary(metric => metric.Name);
    }

    /// <summary>The sum of a counter; of one outcome where it is given.</summary>
    public long Sum(string counter, string? outcome = null) =>
        Read().TryGetValue(counter, out MetricSnapshot? metric)
            ? metric.MetricPoints.Where(point => outcome is null || Equals(Tag(point, "attention.outcome"), outcome))
                .Sum(point => point.GetSumLong())
            : 0;

    public (long Count, double Sum) Histogram(string name) =>
        Read().TryGetValue(name, out MetricSnapshot? metric)
            ? (Assert.Single(metric.MetricPoints).GetHistogramCount(), metric.MetricPoints[0].GetHistogramSum())
            : (0, 0.0);

    /// <summary>The upper bounds of a histogram's buckets, without that of the last, which has none.</summary>
    public double[] Bounds(string name)
    {
        List<double> bounds = [];
        foreach (HistogramBucket bucket in Assert.Single(Read()[name].MetricPoints).GetHistogramBuckets())
            bounds.Add(bucket.ExplicitBound);
        return [.. bounds.SkipLast(1)];
    }

    public long Gauge(string name) => Assert.Single(Read()[name].MetricPoints).GetGaugeLastValueLong();

    /// <summary>Returns when so many batches were recorded: that is after their requests have ended.</summary>
    public Task UntilBatchesAsync(int batches) => Wait.UntilAsync(() => Histogram("attention.batch.size").Count == batches);

    public void Dispose() => _provider.Dispose();

    public static object? Tag(MetricPoint point, string name)
    {
        foreach (KeyValuePair<string, object?> tag in point.Tags)
        {
            if (tag.Key == name)
                return tag.Value;
        }

        return null;
    }
}
