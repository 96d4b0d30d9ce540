using System.Diagnostics;
using System.Net;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// 64 good clients beside hostile ones. The good ones must see no error and no wrong answer, the service's memory must stay below a
/// limit and come back, and its health must be told truly: it is healthy as long as the good clients are answered.
/// </summary>
internal sealed class HostileReport(Uri url, Process service) : IDisposable
{
    private const int Clients = 64;
    private const int FirstRequests = 1000;
    private const double MaxBytes = 1e9;
    private const double MaxGrowth = 1.25;

    private static readonly TimeSpan _rest = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan _sampling = TimeSpan.FromMilliseconds(100);

    private readonly HttpClient _health = new() { BaseAddress = url, Timeout = TimeSpan.FromSeconds(20) };
    private double _peak;
    private int _healthChecks;
    private string? _untrueHealth;

    /// <summary>Prints the report; 1 if a target was missed, else 0.</summary>
    /// <param name="url">Where the service is.</param>
    /// <param name="process">Its process, whose memory is read.</param>
    /// <param name="minutes">How long it is attacked.</param>
    public static async Task<int> RunAsync(string url, int process, int minutes)
    {
        using var service = Process.GetProcessById(process);
        using var report = new HostileReport(new Uri(url), service);
        return await report.RunAsync(TimeSpan.FromMinutes(minutes)).ConfigureAwait(false) ? 0 : 1;
    }

    public void Dispose() => _health.Dispose();

    private async Task<bool> RunAsync(TimeSpan duration)
    {
        var hostile = new HostileClients(url, new HostileBodies());
        using var good = new GoodClients(url);
        await good.RunAsync(Clients, (answers, _) => answers < FirstRequests).ConfigureAwait(false);
        double first = Resident();
        using var end = new CancellationTokenSource(duration);
        Task watching = Task.WhenAll(WatchMemoryAsync(end.Token), WatchHealthAsync(end.Token));
        Task attack = hostile.RunAsync(end.Token);
        double speed = await good.RunAsync(Clients, (_, time) => time < duration).ConfigureAwait(false);
        await Task.WhenAll(attack, watching).ConfigureAwait(false);
        await Task.Delay(_rest).ConfigureAwait(false);
        double after = Resident();

        Console.WriteLine($"{duration.TotalMinutes} minutes, {hostile.Connections} hostile connections, {speed:F0} good answers a second.");
        string firstError = good.FirstError is null ? "" : $", the first: {good.FirstError}";
        return Target(good.Errors == 0, $"{good.Errors} errors of good clients{firstError}")
            & Target(good.Wrong == 0, $"{good.Wrong} wrong answers")
            & Target(_untrueHealth is null && _healthChecks > 0, $"{_healthChecks} health checks; {_untrueHealth ?? "none untrue"}")
            & Target(_peak < MaxBytes, $"{_peak / 1e6:F0} MB resident at most, less than {MaxBytes / 1e6:F0} wanted")
            & Target(
                after <= MaxGrowth * first,
                $"{after / 1e6:F0} MB resident 30 s after, {after / first:F2} times the {first / 1e6:F0} MB after {FirstRequests} requests; "
                + $"{MaxGrowth} wanted");
    }

    private static bool Target(bool isMet, string text)
    {
        Console.WriteLine($"{(isMet ? "met   " : "MISSED")} {text}");
        return isMet;
    }

    private async Task WatchMemoryAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            _peak = Math.Max(_peak, Resident());
            await Task.Delay(_sampling, CancellationToken.None).ConfigureAwait(false);
        }
    }

    private async Task WatchHealthAsync(CancellationToken end)
    {
        for (; !end.IsCancellationRequested; _healthChecks++)
        {
            try
            {
                using HttpResponseMessage answer =
                    await _health.GetAsync(new Uri("/health", UriKind.Relative), CancellationToken.None).ConfigureAwait(false);
                string text = await answer.Content.ReadAsStringAsync(CancellationToken.None).ConfigureAwait(false);
                if (answer.StatusCode != HttpStatusCode.OK || text != "Healthy")
                    _untrueHealth ??= $"untrue: {(int)answer.StatusCode} {text}";
            }
            catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
            {
                _untrueHealth ??= $"no answer: {exception.Message}";
            }

            await Task.Delay(TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(false);
        }
    }

    private double Resident()
    {
        service.Refresh();
        return service.WorkingSet64;
    }
}
