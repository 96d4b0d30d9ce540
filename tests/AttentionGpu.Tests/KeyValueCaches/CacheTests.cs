using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>Key/value caches on every device.</summary>
public class CacheTests
{
    private const int StepsOfTrial = 25;

    [Theory]
    [EveryDevice]
    public void Operations_agree_with_lists_of_rows(string backend)
    {
        AttentionEngine engine = Engines.Get(backend);
        bool isSmall = engine.Device.Kind is not (DeviceKind.Simd or DeviceKind.Reference);
        var random = new Random(Fuzz.Seed());
        int trials = Fuzz.Problems(isSmall ? 1 : 12);
        for (int trial = 0; trial < trials; trial++)
        {
            using var one = new CacheTrial(engine, random.Next(), isSmall);
            for (int step = 0; step < StepsOfTrial; step++)
                one.Step();
        }
    }
}
