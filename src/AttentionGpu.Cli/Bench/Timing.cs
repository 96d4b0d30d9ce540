namespace AttentionGpu.Cli.Bench;

/// <summary>Times actions that are to be compared: in turn, so that all of them see the same machine.</summary>
internal static class Timing
{
    private const int MinRounds = 5;

    /// <summary>The median time of each action in seconds.</summary>
    /// <param name="window">How long the runs of one action go on before the next one's turn.</param>
    /// <param name="duration">How long all of it takes, at least five rounds.</param>
    /// <param name="pause">What passes between two turns: a peer's threads may spin on for a while.</param>
    /// <param name="actions">What to time. Each is run once before anything is timed.</param>
    public static double[] Medians(TimeSpan window, TimeSpan duration, TimeSpan pause, params Action[] actions) =>
        Medians(TimeProvider.System, window, duration, pause, actions);

    /// <summary>The same by another clock.</summary>
    internal static double[] Medians(TimeProvider clock, TimeSpan window, TimeSpan duration, TimeSpan pause, params Action[] actions)
    {
        foreach (Action action in actions)
            action();
        List<double>[] times = [.. actions.Select(_ => new List<double>())];
        long start = clock.GetTimestamp();
        for (int round = 0; round < MinRounds || clock.GetElapsedTime(start) < duration; round++)
        {
            for (int i = 0; i < actions.Length; i++)
            {
                Thread.Sleep(pause);
                actions[i]();
                long turn = clock.GetTimestamp();
                do
                {
                    long run = clock.GetTimestamp();
                    actions[i]();
                    times[i].Add(clock.GetElapsedTime(run).TotalSeconds);
                }
                while (clock.GetElapsedTime(turn) < window);
            }
        }

        return [.. times.Select(Median)];
    }

    /// <summary>An action that is timed several times at once: what not every run does is in the mean.</summary>
    public static Action Repeat(Action action, int count) => () =>
    {
        for (int i = 0; i < count; i++)
            action();
    };

    private static double Median(List<double> values)
    {
        values.Sort();
        return (values[(values.Count - 1) / 2] + values[values.Count / 2]) / 2.0;
    }
}
