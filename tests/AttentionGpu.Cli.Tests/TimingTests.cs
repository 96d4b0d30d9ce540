using AttentionGpu.Cli.Bench;

namespace AttentionGpu.Cli.Tests;

public class TimingTests
{
    private static readonly TimeSpan _tick = TimeSpan.FromMilliseconds(1);

    [Fact]
    public void The_time_is_the_median_in_seconds_without_the_runs_that_warm_up()
    {
        // The first call, then for each of five turns a call that warms up and one that is timed.
        var clock = new ManualClock();
        var times = new Queue<int>([900, 900, 5, 900, 1, 900, 4, 900, 2, 900, 3]);
        double[] medians = Timing.Medians(clock, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, () => clock.Advance(times.Dequeue() * _tick));
        Assert.Equal(0.003, Assert.Single(medians), 1e-12);
        Assert.Empty(times);
    }

    [Fact]
    public void The_median_of_an_even_number_of_times_is_the_mean_of_the_two_in_the_middle()
    {
        // Five rounds have passed after 90 ms; the sixth is the last.
        var clock = new ManualClock();
        var times = new Queue<int>([0, 0, 16, 0, 13, 0, 19, 0, 21, 0, 21, 0, 18]);
        double[] medians = Timing.Medians(clock, TimeSpan.Zero, 91 * _tick, TimeSpan.Zero, () => clock.Advance(times.Dequeue() * _tick));
        Assert.Equal(0.0185, Assert.Single(medians), 1e-12);
        Assert.Empty(times);
    }

    [Fact]
    public void Actions_take_turns_and_each_has_its_own_median()
    {
        var clock = new ManualClock();
        string order = "";
        Action Step(char name, int ticks) => () =>
        {
            order += name;
            clock.Advance(ticks * _tick);
        };
        double[] medians = Timing.Medians(clock, 3 * _tick, TimeSpan.Zero, TimeSpan.Zero, Step('a', 2), Step('b', 7), Step('c', 1));
        Assert.Equal([0.002, 0.007, 0.001], medians.Select(seconds => Math.Round(seconds, 9)));

        // A turn of 3 ms has two calls of 2 ms, one of 7 ms or three of 1 ms, behind the one that warms up.
        Assert.Equal("abc" + string.Concat(Enumerable.Repeat("aaabbcccc", 5)), order);
    }

    [Theory]
    [InlineData(1, 5)]
    [InlineData(20, 5)]
    [InlineData(21, 6)]
    [InlineData(40, 10)]
    public void Rounds_go_on_for_the_duration_and_are_at_least_five(int duration, int rounds)
    {
        var clock = new ManualClock();
        int calls = 0;
        Timing.Medians(clock, TimeSpan.Zero, duration * _tick, TimeSpan.Zero, () =>
        {
            calls++;
            clock.Advance(2 * _tick);
        });
        Assert.Equal(1 + (2 * rounds), calls);
    }

    private sealed class ManualClock : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan time) => _now += time.Ticks;

        public override long GetTimestamp() => _now;
    }
}
