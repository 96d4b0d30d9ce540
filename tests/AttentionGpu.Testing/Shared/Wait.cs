using System.Diagnostics;

namespace AttentionGpu.Tests.Shared;

/// <summary>Waits that fail their test rather than last for ever.</summary>
internal static class Wait
{
    /// <summary>How long a wait may last; more than any does.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan _pause = TimeSpan.FromMilliseconds(5);

    /// <summary>Returns when the condition holds.</summary>
    public static async Task UntilAsync(Func<bool> condition)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"The condition did not hold within {Patience}.");
            await Task.Delay(_pause, TestContext.Current.CancellationToken);
        }
    }
}
