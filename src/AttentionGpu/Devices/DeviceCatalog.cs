using System.Runtime.CompilerServices;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Backends.Simd;
using ILGPU.Runtime;

namespace AttentionGpu.Devices;

/// <summary>Knows every device and makes its backend.</summary>
internal static class DeviceCatalog
{
    public const string Auto = "auto";
    public const string Variable = "ATTENTION_DEVICE";

    // Asking the drivers takes tens of milliseconds, and every engine asks.
    private static volatile IReadOnlyList<DeviceInfo>? _known;

    // ILGPU compiles at run time. A native compiler knows that this is false, and leaves the accelerators and all their kernels out.
    private static bool AcceleratorsAreThere => RuntimeFeature.IsDynamicCodeSupported;

    public static IReadOnlyList<DeviceInfo> List()
    {
        if (_known is { } known)
            return known;
        IReadOnlyList<DeviceInfo> devices = AcceleratorsAreThere
            ? List(AcceleratorDevices.List)
            : WithoutAccelerators("compiles at run time, which a native program cannot do");

        // A failure is not kept: the next call tries again.
        if (AcceleratorFailure(devices) is null || !AcceleratorsAreThere)
            _known = devices;
        return devices;
    }

    /// <summary>All devices. Where ILGPU's cannot be looked for, the processor's work nevertheless.</summary>
    /// <param name="accelerators">Looks for the devices of ILGPU.</param>
    public static IReadOnlyList<DeviceInfo> List(Func<IReadOnlyList<DeviceInfo>> accelerators)
    {
        try
        {
            return [.. accelerators(), SimdBackend.Info, ReferenceBackend.Info];
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            Exception cause = exception.GetBaseException();
            return WithoutAccelerators($"failed with {cause.GetType().Name}: {cause.Message.TrimEnd('.')}");
        }
    }

    /// <summary>The device that a name means, in any case, and why.</summary>
    /// <exception cref="ArgumentException">There is no such device, or it cannot be used; the message lists what there is.</exception>
    public static DeviceSelection Select(string device, IReadOnlyList<DeviceInfo> devices)
    {
        string? variable = Environment.GetEnvironmentVariable(Variable);
        bool fromVariable = Is(device, Auto) && !string.IsNullOrEmpty(variable);
        string wanted = fromVariable ? variable! : device;
        string? failure = AcceleratorFailure(devices);
        if (!Is(wanted, Auto))
        {
            DeviceInfo? named = devices.FirstOrDefault(candidate => Is(candidate.Name, wanted));
            string source = fromVariable ? $"the environment variable {Variable}" : "the argument";
            string unusable = failure is null ? "" : $" {AcceleratorDevices.EmulatorName} cannot be used: {failure}.";
            string names = string.Join(", ", devices.Where(one => one.Problem is null).Select(one => one.Name));
            return named switch
            {
                { Problem: null } => new DeviceSelection(named, $"named by {source}"),
                not null => throw new ArgumentException(
                    $"The device '{wanted}' ({named.Description}; from {source}) cannot be used: {named.Problem}. "
                    + $"Devices here: {names}, or {Auto}.",
                    nameof(device)),
                null => throw new ArgumentException(
                    $"There is no device '{wanted}' (from {source}). Devices here: {names}, or {Auto}.{unusable}", nameof(device)),
            };
        }

        return devices.FirstOrDefault(candidate => candidate is { Kind: DeviceKind.Cuda, Problem: null }) is { } cuda
            ? new DeviceSelection(cuda, "the first CUDA device")
            : devices.FirstOrDefault(candidate => candidate is { Kind: DeviceKind.OpenCL, IsGpu: true, Problem: null }) is { } openCL
                ? new DeviceSelection(openCL, "no CUDA device; the first OpenCL GPU")
                : new DeviceSelection(
                    devices.First(candidate => candidate.Kind == DeviceKind.Simd),
                    $"no GPU{(failure is null ? "" : $": {failure}")}; the processor's vector instructions");
    }

    public static IBackend CreateBackend(Accelerator accelerator, AttentionEngineOptions options) =>
        new AcceleratorBackend(accelerator, options.MemoryLimit);

    public static IBackend CreateBackend(DeviceInfo device, AttentionEngineOptions options) => device.Kind switch
    {
        DeviceKind.Reference => new ReferenceBackend(options.MemoryLimit),
        DeviceKind.Simd => new SimdBackend(threads: options.Threads, memoryLimit: options.MemoryLimit),
        _ when AcceleratorsAreThere => new AcceleratorBackend(device, options.MemoryLimit),
        _ => throw new NotSupportedException($"A native program cannot compile at run time, which the device '{device.Name}' needs."),
    };

    // The emulated device, which every machine has, says why none of ILGPU's can be used: the others are not known.
    private static IReadOnlyList<DeviceInfo> WithoutAccelerators(string why) =>
    [
        new DeviceInfo
        {
            Name = AcceleratorDevices.EmulatorName,
            Kind = DeviceKind.IlgpuCpu,
            Description = AcceleratorDevices.EmulatorDescription,
            Problem = $"ILGPU, which drives this device and those of CUDA and OpenCL, {why}",
        },
        SimdBackend.Info,
        ReferenceBackend.Info,
    ];

    private static string? AcceleratorFailure(IReadOnlyList<DeviceInfo> devices) =>
        devices.FirstOrDefault(device => device.Kind == DeviceKind.IlgpuCpu)?.Problem;

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
