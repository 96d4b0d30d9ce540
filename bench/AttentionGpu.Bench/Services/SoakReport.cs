using System.Diagnostics;

namespace AttentionGpu.Bench.Services;

/// <summary>
/// Clients against the sample service with its demo layer, every answer checked: errors, wrong answers, throughput beside one client alone, and the
/// service's memory, minute by minute.
/// </summary>
internal static class SoakReport
{
    private static readonly TimeSpan _alone = TimeSpan.FromSeconds(10);

    /// <param name="url">Where the service is.</param>
    /// <param name="process">Its process, whose memory is read.</param>
    /// <param name="clients">Clients at once.</param>
    /// <param name="minutes">How long.</param>
    public static async Task RunAsync(string url, int process, int clients, int minutes)
    {
        using var good = new GoodClients(new Uri(url));
        using var service = Process.GetProcessById(process);
        await good.RunAsync(1, (_, time) => time < _alone).ConfigureAwait(false);
        (double sumAlone, double sumTogether) = (0.0, 0.0);
        for (int minute = 1; minute <= minutes; minute++)
        {
            // Beside every minute, for a machine's speed is not the same all the time.
            double alone = await good.RunAsync(1, (_, time) => time < _alone).ConfigureAwait(false);
            double together = await good.RunAsync(clients, (_, time) => time < TimeSpan.FromMinutes(1)).ConfigureAwait(false);
            sumAlone += alone;
            sumTogether += together;
            service.Refresh();
            Console.WriteLine(
                $"Minute {minute}: one client {alone:F0} requests a second, {clients} clients {together:F0}, {together / alone:F2} times; {good.Errors} errors, "
                + $"{good.Wrong} wrong answers; {service.WorkingSet64 / 1e6:F1} MB.");
        }

        Console.WriteLine($"All: one client {sumAlone / minutes:F0} requests a second, {clients} clients {sumTogether / minutes:F0}, {sumTogether / sumAlone:F2} times.");
    }
}
