using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Memory;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Copies to devices that ILGPU drives.</summary>
public class AcceleratorCopyTests
{
    private const int Copies = 400;
    private const int Targets = 7;

    [Theory]
    [EveryDevice]
    public void Small_uploads_wait_for_nothing_until_their_memory_is_full(string device)
    {
        if (Open(device) is not { } backend)
            return;
        using (backend)
        {
            var memory = (AcceleratorMemory)backend.Memory;
            DeviceMemory target = memory.Rent(StagingRing.MaxCopyBytes);
            for (int i = 0; i < StagingRing.Bytes / StagingRing.MaxCopyBytes; i++)
                memory.Upload(new byte[StagingRing.MaxCopyBytes], target);
            Assert.Equal(0, memory.Synchronizations);
            memory.Upload(new byte[1], target);
            Assert.Equal(1, memory.Synchronizations);
            memory.Upload(new byte[1], target);
            Assert.Equal(1, memory.Synchronizations);
        }
    }

    [Theory]
    [EveryDevice]
    public void Uploads_of_any_size_arrive_in_order_and_their_source_may_change(string device)
    {
        if (Open(device) is not { } backend)
            return;
        using (backend)
        {
            var random = new Random();
            int seed = random.Next();
            random = new Random(seed);
            var memory = (AcceleratorMemory)backend.Memory;
            DeviceMemory[] targets = [.. Enumerable.Range(0, Targets).Select(_ => memory.Rent(2 * StagingRing.MaxCopyBytes))];
            byte[][] expected = [.. targets.Select(target => new byte[target.ByteLength])];
            for (int i = 0; i < Targets; i++)
                memory.Upload(expected[i], targets[i]);
            var source = new byte[2 * StagingRing.MaxCopyBytes];
            for (int copy = 0; copy < Copies; copy++)
            {
                int index = random.Next(Targets);
                int length = random.Next(4) switch
                {
                    0 => random.Next(300),
                    1 => StagingRing.MaxCopyBytes + random.Next(-1, 2),
                    _ => random.Next(source.Length + 1),
                };
                random.NextBytes(source.AsSpan(0, length));
                source.AsSpan(0, length).CopyTo(expected[index]);
                memory.Upload(source.AsSpan(0, length), targets[index]);
                Array.Clear(source);
            }

            Assert.True(memory.Synchronizations >= 3, "The ring was to be filled more than once.");
            for (int i = 0; i < Targets; i++)
            {
                var actual = new byte[expected[i].Length];
                memory.Download(targets[i], actual);
                Assert.True(expected[i].AsSpan().SequenceEqual(actual), $"seed {seed}: target {i} differs.");
            }
        }
    }

    [Fact]
    public void A_copy_beyond_its_memory_is_refused()
    {
        using AcceleratorBackend backend = Open(AcceleratorDevices.EmulatorName)!;
        DeviceMemory memory = backend.Memory.Rent(8);
        Assert.Throws<ArgumentOutOfRangeException>(() => backend.Memory.Upload(new byte[9], memory));
        Assert.Throws<ArgumentOutOfRangeException>(() => backend.Memory.Download(memory, new byte[9]));
    }

    // Null on devices that ILGPU does not drive.
    private static AcceleratorBackend? Open(string device)
    {
        DeviceInfo info = Engines.Get(device).Device;
        return info.Kind is DeviceKind.Simd or DeviceKind.Reference ? null : new AcceleratorBackend(info, long.MaxValue);
    }
}
