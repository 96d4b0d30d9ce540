using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

/// <summary>A service that rests gives unused memory back once, and again after each rest.</summary>
public class IdleTests
{
    [Fact]
    public async Task A_rest_gives_memory_back_once()
    {
        var backend = new ReleasingBackend();
        await using AttentionService service = Fixture.Create(
            new() { Device = "simd", IdleMemoryDelay = TimeSpan.FromMilliseconds(1) }, (_, _) => new AttentionEngine(backend));
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(5, 1);
        await Wait.UntilAsync(() => backend.Released == 1);
        for (int rest = 2; rest <= 4; rest++)
        {
            (Task task, float[] output) = SchedulerTests.Forward(layer, input);
            await task;
            Close.Assert(Fixture.Expected(input), output, "output");
            await Wait.UntilAsync(() => backend.Released >= rest);
            Assert.Equal(rest, backend.Released);
        }
    }

    [Fact]
    public async Task Who_does_not_rest_long_keeps_its_memory()
    {
        var backend = new ReleasingBackend();
        await using (AttentionService service = Fixture.Create(
            new() { Device = "simd", IdleMemoryDelay = TimeSpan.FromDays(1) }, (_, _) => new AttentionEngine(backend)))
        {
            IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
            await SchedulerTests.Forward(layer, Fixture.Input(5, 1)).Task;
        }

        Assert.Equal(0, backend.Released);
    }

    private sealed class ReleasingBackend() : DelegatingBackend(new SimdBackend(threads: 1))
    {
        private int _released;

        public int Released => Volatile.Read(ref _released);

        public override void ReleaseUnused()
        {
            base.ReleaseUnused();
            Interlocked.Increment(ref _released);
        }
    }
}
