using System.Globalization;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// How many random problems a test draws, and from which seed: <c>tests/fuzz</c> sets both by environment variables. The seed is in the
/// test's output.
/// </summary>
internal static class Fuzz
{
    /// <summary>Whether the run is <c>tests/fuzz</c>, which may take long.</summary>
    public static bool IsLong => Read("ATTENTION_FUZZ_PROBLEMS") is not null;

    /// <summary>The problems of a run, where a test usually has fewer.</summary>
    public static int Problems(int usual) => Read("ATTENTION_FUZZ_PROBLEMS") ?? usual;

    /// <summary>
    /// The problems of other sizes and data that each kind has: a device compiles kernels for each kind, a driver for seconds.
    /// </summary>
    public static int ProblemsOfKind(string backend) => Engines.Get(backend).Device.Kind switch
    {
        DeviceKind.Simd or DeviceKind.Reference => 1,
        DeviceKind.IlgpuCpu => 4,
        _ when Engines.IsSlowDriver(backend) => 30,
        _ => 5,
    };

    /// <summary>A seed of this run.</summary>
    public static int Seed()
    {
        int seed = Read("ATTENTION_FUZZ_SEED") ?? Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"Seed {seed}.");
        return seed;
    }

    private static int? Read(string variable) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
