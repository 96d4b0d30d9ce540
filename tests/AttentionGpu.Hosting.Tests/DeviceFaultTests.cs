using AttentionGpu.Tests.Support;

namespace AttentionGpu.Hosting.Tests;

public class DeviceFaultTests
{
    private const int Clients = 8;
    private const int RequestsPerClient = 50;

    // Above what a thread works in, which grows with the processor's cache; the large requests' heads alone take more.
    private const long MemoryLimit = 2 << 20;
    private const int LargeTokens = 20_000;

    [Fact]
    public async Task A_device_that_fails_at_random_fails_its_requests_alone()
    {
        var random = new Random(11);
        await using AttentionService service = SchedulerTests.Create(new(), () =>
        {
            if (random.Next(20) == 0)
                throw new InvalidOperationException("the device is lost");
        });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        int failed = 0;
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(client => Task.Run(async () =>
        {
            for (int i = 0; i < RequestsPerClient; i++)
            {
                float[] input = Fixture.Input(1 + (i % 30), client * 1000 + i);
                (Task task, float[] output) = SchedulerTests.Forward(layer, input);
                try
                {
                    await task;
                }
                catch (AttentionDeviceException exception)
                {
                    Assert.Contains("the device is lost", exception.Message, StringComparison.Ordinal);
                    Interlocked.Increment(ref failed);
                    continue;
                }

                Close.Assert(Fixture.Expected(input), output, "output");
            }
        })));
        Assert.InRange(failed, 1, Clients * RequestsPerClient / 2);
        Assert.False(service.UsesFallback);
    }

    [Fact]
    public async Task A_lost_device_gives_way_to_the_fallback()
    {
        bool lost = false;
        await using AttentionService service = Fixture.Create(
            new() { Device = "faulty", FallbackDevice = "simd" },
            (device, options) => device == "simd" ? new AttentionEngine("simd", options) : new AttentionEngine(new FaultyBackend
            {
                BeforeLinear = () =>
                {
                    if (lost)
                        throw new InvalidOperationException("the device is lost");
                },
            }));
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] input = Fixture.Input(9, 1);
        (Task task, float[] output) = SchedulerTests.Forward(layer, input);
        await task;
        Close.Assert(Fixture.Expected(input), output, "output");
        lost = true;
        (task, output) = SchedulerTests.Forward(layer, input);
        await task;
        Close.Assert(Fixture.Expected(input), output, "output");
        Assert.True(service.UsesFallback);
        Assert.Equal("simd", service.Device.Name);
    }

    [Fact]
    public async Task A_request_beyond_the_memory_limit_fails_and_others_do_not()
    {
        await using AttentionService service = Fixture.Create(new() { Device = "simd", Threads = 1, MemoryLimitBytes = MemoryLimit });
        IAttentionLayer layer = service.AddLayer<float>("layer", Fixture.Config, Fixture.Weights);
        float[] large = Fixture.Input(LargeTokens, 1);
        float[] small = Fixture.Input(8, 2);
        (Task Task, float[] Output)[] requests = [.. Enumerable.Range(0, 20).Select(i => SchedulerTests.Forward(layer, i % 5 == 0 ? large : small))];
        for (int i = 0; i < requests.Length; i++)
        {
            if (i % 5 == 0)
            {
                await Assert.ThrowsAsync<AttentionMemoryException>(() => requests[i].Task);
                continue;
            }

            await requests[i].Task;
            Close.Assert(Fixture.Expected(small), requests[i].Output, "output");
        }
    }
}
