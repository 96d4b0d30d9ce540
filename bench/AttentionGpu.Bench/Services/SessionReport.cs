using System.Diagnostics;
using System.Globalization;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// Many sessions of the sample service at once, with forks, rewinds, cancellations and disconnects, every answer checked; pages are counted
/// when all are closed, and host memory for sessions stays within its budget.
/// </summary>
internal sealed class SessionReport(HttpClient http, Process service, double hostBytes)
{
    private const double MaxBytes = 1e9;

    private static readonly TimeSpan _sampling = TimeSpan.FromMilliseconds(500);

    private double _peak;
    private double _spilledBytes;
    private double _spilled;

    /// <summary>Prints the report; 1 if a target was missed, else 0.</summary>
    /// <param name="url">Where the service is.</param>
    /// <param name="process">Its process, whose memory is read.</param>
    /// <param name="clients">Sessions at once.</param>
    /// <param name="minutes">How long.</param>
    /// <param name="hostBytes">The host memory that the service has for sessions.</param>
    public static async Task<int> RunAsync(string url, int process, int clients, int minutes, double hostBytes)
    {
        using var service = Process.GetProcessById(process);
        using var http = new HttpClient { BaseAddress = new Uri(url) };
        var report = new SessionReport(http, service, hostBytes);
        return await report.RunAsync(clients, TimeSpan.FromMinutes(minutes)).ConfigureAwait(false) ? 0 : 1;
    }

    private async Task<bool> RunAsync(int clients, TimeSpan duration)
    {
        var streams = new SessionStreams();
        var counts = new SessionCounts();
        double pages = await ReadAsync("attention_cache_pages_free").ConfigureAwait(false);
        using var end = new CancellationTokenSource(duration);
        long start = Stopwatch.GetTimestamp();
        Task watching = WatchAsync(end.Token);
        await Task.WhenAll(Enumerable.Range(0, clients).Select(number => Task.Run(
            () => new SessionClient(http, streams, counts, number).RunAsync(end.Token)))).ConfigureAwait(false);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await watching.ConfigureAwait(false);

        // What /metrics answers may be as old as its cache.
        await Task.Delay(2 * _sampling).ConfigureAwait(false);
        double open = await ReadAsync("attention_sessions_open").ConfigureAwait(false);
        double free = await ReadAsync("attention_cache_pages_free").ConfigureAwait(false);
        double prefixes = await ReadAsync("attention_prefix_kept").ConfigureAwait(false);
        double shared = await ReadAsync("attention_prefix_tokens", "attention_shared=\"true\"").ConfigureAwait(false);
        double left = await ReadAsync("attention_cache_spilled").ConfigureAwait(false);
        Console.WriteLine($"{clients} sessions, {seconds:F0} s: {counts}.");
        Console.WriteLine(
            $"{counts.Steps / seconds:F0} steps and {counts.Tokens / seconds:F0} tokens a second; "
            + $"{_spilled:F0} sessions in host memory at most, {shared} tokens of prefixes shared.");
        string firstError = counts.FirstError is null ? "" : $", the first: {counts.FirstError}";
        return Target(counts.Errors == 0, $"{counts.Errors} errors{firstError}")
            & Target(counts.Wrong == 0 && counts.Steps > 0, $"{counts.Wrong} wrong answers of {counts.Steps}")
            & Target(open == 0 && left == 0, $"{open} sessions and {left} bytes in host memory left")
            & Target(free + prefixes == pages, $"{free} of {pages} pages free when all are closed, and {prefixes} with a prefix each")
            & Target(_spilledBytes <= hostBytes, $"{_spilledBytes / 1e6:F1} MB of sessions in host memory at most, of {hostBytes / 1e6:F1}")
            & Target(_peak < MaxBytes, $"{_peak / 1e6:F0} MB resident at most, less than {MaxBytes / 1e6:F0} wanted");
    }

    private async Task WatchAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            service.Refresh();
            _peak = Math.Max(_peak, service.WorkingSet64);
            _spilledBytes = Math.Max(_spilledBytes, await ReadAsync("attention_cache_spilled").ConfigureAwait(false));
            _spilled = Math.Max(_spilled, await ReadAsync("attention_sessions_spilled").ConfigureAwait(false));
            await Task.Delay(_sampling, CancellationToken.None).ConfigureAwait(false);
        }
    }

    // The value of a metric in Prometheus' format, whose name may have a unit behind it.
    private async Task<double> ReadAsync(string name, string label = "")
    {
        string text = await http.GetStringAsync(new Uri("/metrics", UriKind.Relative)).ConfigureAwait(false);
        string line = text.Split('\n').First(
            line => line.StartsWith(name, StringComparison.Ordinal) && line.Contains(label, StringComparison.Ordinal));
        return double.Parse(line[(line.IndexOf('}', StringComparison.Ordinal) + 1)..].Trim().Split(' ')[0], CultureInfo.InvariantCulture);
    }

    private static bool Target(bool isMet, string what)
    {
        Console.WriteLine($"{(isMet ? "met" : "MISSED")}: {what}.");
        return isMet;
    }
}
