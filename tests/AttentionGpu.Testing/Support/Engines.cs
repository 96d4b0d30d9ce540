using System.Collections.Concurrent;
using System.Reflection;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Kernels.Tests.Ptx;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// The backends that every test of an operation runs on. A new backend adds one line; the environment variable
/// <c>ATTENTION_TEST_DEVICES</c> (names with
/// commas between) takes their place, for a driver that not every machine has.
/// </summary>
public static class Engines
{
    private const string Processor = " processor";
    private const string Tiled = " tiled";
    private const string TensorCores = " tensor cores";
    private const int DriverShare = 8;

    private static readonly int _draw = Random.Shared.Next();

    private static readonly ConcurrentDictionary<string, Lazy<AttentionEngine>> _engines = new();

    public static IReadOnlyList<string> All { get; } =
        Environment.GetEnvironmentVariable("ATTENTION_TEST_DEVICES") is { Length: > 0 } names
            ? names.Split(',')
            : ["reference", "ilgpu-cpu", "simd"];

    /// <summary>
    /// The devices of a test, and with other kernels than it chooses each that ILGPU drives: "ilgpu-cpu processor" has a processor's,
    /// "opencl:0 tiled" a GPU's, and "ilgpu-cpu tensor cores" those of CUDA's tensor cores, on an interpreter.
    /// </summary>
    /// <remarks>
    /// PoCL compiles a GPU's kernel of attention for 20 seconds and more: one test of eight, drawn in each run, has them. The environment
    /// variable <c>ATTENTION_TEST_KERNELS=all</c> gives them to all tests.
    /// </remarks>
    public static IReadOnlyList<string> WithOtherKernels(MethodInfo test) =>
    [
        .. All,
        .. All.Where(name => name == AcceleratorDevices.EmulatorName).SelectMany(name => new[] { name + Processor, name + TensorCores }),
        .. All.Where(name => name.StartsWith("opencl:", StringComparison.Ordinal) && IsDrawn(test)).Select(name => name + Tiled),
    ];

    /// <summary>The float64 reference.</summary>
    public static AttentionEngine Reference => Get("reference");

    /// <summary>An engine that all tests share; never dispose of it.</summary>
    public static AttentionEngine Get(string name) =>
        _engines.GetOrAdd(name, key => new Lazy<AttentionEngine>(() => Create(key))).Value;

    /// <summary>Whether a driver compiles the backend's kernels, for seconds each.</summary>
    public static bool IsDriver(string name) => name.Contains(':', StringComparison.Ordinal);

    /// <summary>Whether it compiles kernels of a GPU for a processor, for much longer.</summary>
    public static bool IsSlowDriver(string name) => IsDriver(name) && name.EndsWith(Tiled, StringComparison.Ordinal);

    /// <summary>Whether the backend rounds the weights of attention to 16 bits.</summary>
    public static bool RoundsWeights(string name) => name.EndsWith(TensorCores, StringComparison.Ordinal);

    /// <summary>All element types; one of them, which the seed draws, where a driver compiles kernels for each.</summary>
    public static ElementForm[] Elements(string name, int seed)
    {
        ElementForm[] all = Enum.GetValues<ElementForm>();
        return IsDriver(name) ? [all[new Random(seed).Next(all.Length)]] : all;
    }

    /// <summary>Runs what is there for each of <see cref="Elements"/>.</summary>
    public static void ForElements(string name, int seed, Action f32, Action f16, Action bf16)
    {
        foreach (ElementForm element in Elements(name, seed))
            (element switch { ElementForm.F32 => f32, ElementForm.F16 => f16, _ => bf16 })();
    }

    private static bool IsDrawn(MethodInfo test) =>
        Environment.GetEnvironmentVariable("ATTENTION_TEST_KERNELS") == "all"
        || (uint)HashCode.Combine(_draw, test.DeclaringType, test.Name) % DriverShare == 0;

    private static AttentionEngine Create(string name)
    {
        string? kernels = Array.Find([Processor, Tiled, TensorCores], suffix => name.EndsWith(suffix, StringComparison.Ordinal));
        if (kernels is null)
            return new AttentionEngine(name);
        DeviceInfo device = Get(name[..^kernels.Length]).Device;
        bool hasTensorCores = kernels == TensorCores;
        return new AttentionEngine(new AcceleratorBackend(
            device, AcceleratorDevices.CreateContext(device.Name),
            accelerator => TileChoice.For(accelerator) with { Processor = kernels == Processor, HasTensorCores = hasTensorCores },
            probe: new AcceleratorProbe { Texts = hasTensorCores ? new PtxTextDevice() : null }));
    }
}
