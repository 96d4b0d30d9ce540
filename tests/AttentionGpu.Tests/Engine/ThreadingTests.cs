using System.Collections.Concurrent;
using System.Numerics.Tensors;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

public class ThreadingTests
{
    private const int Threads = 8;
    private const int CallsPerThread = 12;

    [Theory]
    [EveryDevice]
    public void Many_threads_share_one_engine(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        (VariantCase Problem, VariantResult Expected)[] attention =
        [
            .. Enumerable.Range(0, Threads).Select(seed => VariantCase.Create(
                VariantKind.Of((Causal)(seed % 3), (VariantMask)(seed % 5)), new Random(seed),
                new VariantSizes(1 + seed % 2, 1, 2, 8, 8, [9 + seed], [14])))
                .Select(problem => (problem, VariantRun.OnReference(problem))),
        ];
        (LayerCase Problem, Tensor<float> Expected)[] layers =
        [
            .. Enumerable.Range(0, Threads).Select(seed => LayerCase.Create(new LayerSizes(
                2, 2, 1, 4, 5 + seed, 9, seed % 2 == 0, false, true, false, seed)))
                .Select(problem => (problem, problem.Run(Engines.Reference))),
        ];
        RunOnThreads(thread =>
        {
            for (int call = 0; call < CallsPerThread; call++)
            {
                int index = (thread + call) % Threads;
                VariantCase problem = attention[index].Problem;
                attention[index].Expected.AssertClose(VariantRun.Run(problem, engine), problem, $"thread {thread}, call {call}");
                Close.Assert(layers[index].Expected, layers[index].Problem.Run(engine), $"thread {thread}, call {call}");
            }
        });
    }

    [Fact]
    [Trait("device", "every")]
    public void Many_threads_find_the_same_devices()
    {
        // The first to ask is what starts a driver, so nobody asks before.
        var found = new ConcurrentBag<string>();
        RunOnThreads(_ => found.Add(string.Join(' ', AcceleratorDevices.List().Select(device => device.Name))));
        Assert.Single(found.Distinct());
    }

    [Theory]
    [EveryDevice]
    public void Disposal_under_load_is_a_clear_error(string backend)
    {
        var problem = VariantCase.Create(VariantKind.With(), new Random(1), new VariantSizes(1, 1, 2, 8, 8, [24], [24]));
        VariantResult expected = VariantRun.OnReference(problem);
        var engine = new AttentionEngine(backend);
        VariantRun.Run(problem, engine);
        int refused = 0;
        RunOnThreads(thread =>
        {
            try
            {
                for (int call = 0; ; call++)
                {
                    if (thread == 0 && call == CallsPerThread)
                        engine.Dispose();
                    expected.AssertClose(VariantRun.Run(problem, engine), problem, $"thread {thread}, call {call}");
                }
            }
            catch (ObjectDisposedException)
            {
                Interlocked.Increment(ref refused);
            }
        });
        Assert.Equal(Threads, refused);
    }

    private static void RunOnThreads(Action<int> work)
    {
        var failures = new List<Exception>();
        Thread[] threads =
        [
            .. Enumerable.Range(0, Threads).Select(index => new Thread(() =>
            {
                try
                {
                    work(index);
                }
                catch (Exception exception)
                {
                    lock (failures)
                        failures.Add(exception);
                }
            })),
        ];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        Assert.Empty(failures);
    }
}
