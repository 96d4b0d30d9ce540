using System.Collections.Concurrent;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// The backends that every test of an operation runs on. A new backend adds one line; the environment variable <c>ATTENTION_TEST_DEVICES</c> (names with
/// commas between) takes their place, for a driver that not every machine has.
/// </summary>
public static class Engines
{
    private static readonly ConcurrentDictionary<string, Lazy<AttentionEngine>> _engines = new();

    public static IReadOnlyList<string> All { get; } =
        Environment.GetEnvironmentVariable("ATTENTION_TEST_DEVICES") is { Length: > 0 } names
            ? names.Split(',')
            : ["reference", "ilgpu-cpu", "simd"];

    /// <summary>The float64 reference.</summary>
    public static AttentionEngine Reference => Get("reference");

    /// <summary>An engine that all tests share; never dispose of it.</summary>
    public static AttentionEngine Get(string name) =>
        _engines.GetOrAdd(name, device => new Lazy<AttentionEngine>(() => new AttentionEngine(device))).Value;
}
