using ILGPU;
using ILGPU.Backends.OpenCL;
using ILGPU.Backends.PTX;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The devices that ILGPU finds, under the engine's names.</summary>
internal static class AcceleratorDevices
{
    public const string EmulatorName = "ilgpu-cpu";
    public const string EmulatorDescription = "ILGPU's CPU accelerator: emulates a GPU, for tests";

    // Two groups at a time.
    private const int EmulatedMultiprocessors = 2;

    // Making a context asks the drivers and tries a kernel on each OpenCL device. Two threads doing so at once have left one without its
    // devices.
    private static readonly Lock _drivers = new();

    /// <summary>
    /// The warp of the emulated device. Each emulated thread is an OS thread and each barrier a meeting of all of a group's, so there are
    /// few.
    /// </summary>
    public const int EmulatedWarpSize = 4;

    /// <summary>A context in which <see cref="Find"/> finds a device.</summary>
    /// <param name="device">The device's name.</param>
    /// <param name="emulatedWarpSize">Threads in a warp of the emulated device.</param>
    /// <param name="emulatedWarps">Warps in a group of it.</param>
    public static Context CreateContext(string device, int emulatedWarpSize = EmulatedWarpSize, int emulatedWarps = 1)
    {
        // The emulator is for tests. Their time is that of the compiler, nine tenths of which goes to lowering the structures that
        // optimisation has spread over the kernel: without it a kernel compiles five times as fast.
        return device == EmulatorName
            ? Context.Create(builder =>
                Emulate(builder, emulatedWarpSize, emulatedWarps).EnableAlgorithms().Optimize(OptimizationLevel.O0))
            : CreateContext(refused: null);
    }

    /// <summary>All devices, each kind's usable ones first: those that are not never change the number of one that is.</summary>
    public static IReadOnlyList<DeviceInfo> List()
    {
        List<Device> refused = [];
        using Context context = CreateContext(refused);
        return
        [
            .. Number<Device>(
                [.. context.GetCudaDevices(), .. refused.OfType<CudaDevice>()], [.. context.GetCLDevices(), .. refused.OfType<CLDevice>()],
                [.. context.GetCPUDevices()]).Select(entry => Describe(entry.Name, entry.Device)),
        ];
    }

    public static Device Find(Context context, string name) =>
        Enumerate(context).First(entry => entry.Name == name).Device;

    /// <summary>An accelerator that somebody else has made: under the name that its device has in its context.</summary>
    public static DeviceInfo Describe(ILGPU.Runtime.Accelerator accelerator)
    {
        (string? name, Device? _) = Enumerate(accelerator.Context).Find(entry => entry.Device == accelerator.Device);
        return Describe(name ?? EmulatorName, accelerator.Device);
    }

    /// <summary>Why ILGPU cannot use a device; null where it can.</summary>
    /// <param name="version">The driver's version of OpenCL C.</param>
    /// <param name="hasGenericAddressSpaces">Whether the driver says that it has them.</param>
    public static string? OpenCLProblem(CLCVersion version, bool hasGenericAddressSpaces) =>
        version < CLBackend.MinimumVersion
            ? $"the driver has OpenCL C {version.Major}.{version.Minor}; "
                + $"ILGPU needs {CLBackend.MinimumVersion.Major}.{CLBackend.MinimumVersion.Minor}"
            : hasGenericAddressSpaces ? null : "the driver has no generic address spaces, which ILGPU needs";

    /// <summary>Devices under the engine's names: numbered in each kind.</summary>
    public static IEnumerable<(string Name, T Device)> Number<T>(IEnumerable<T> cuda, IEnumerable<T> openCL, IEnumerable<T> emulated) =>
    [
        .. cuda.Select((device, number) => ($"cuda:{number}", device)),
        .. openCL.Select((device, number) => ($"opencl:{number}", device)),
        .. emulated.Select(device => (EmulatorName, device)),
    ];

    // All devices: a driver's devices have the same numbers in each context.
    private static Context CreateContext(ICollection<Device>? refused)
    {
        lock (_drivers)
        {
            return Context.Create(builder => Emulate(builder, EmulatedWarpSize, 1)
                .Cuda((CudaDevice device) => IsUsable(device, refused))
                .OpenCL(device => IsUsable(device, refused))
                .EnableAlgorithms()
                .Optimize(OptimizationLevel.O2));
        }
    }

    private static Context.Builder Emulate(Context.Builder builder, int warpSize, int warps) =>
        builder.CPU(new CPUDevice(warpSize, warps, EmulatedMultiprocessors));

    private static List<(string Name, Device Device)> Enumerate(Context context) =>
        [.. Number<Device>([.. context.GetCudaDevices()], [.. context.GetCLDevices()], [.. context.GetCPUDevices()])];

    private static bool IsUsable(Device device, ICollection<Device>? refused)
    {
        bool isUsable = Problem(device) is null;
        if (!isUsable)
            refused?.Add(device);
        return isUsable;
    }

    // The rules by which ILGPU's own Cuda() and OpenCL() leave a device out without a word.
    private static string? Problem(Device device) => device switch
    {
        CLDevice openCL => OpenCLProblem(openCL.CLStdVersion, openCL.Capabilities.GenericAddressSpace),
        CudaDevice { Architecture: not null, InstructionSet: CudaInstructionSet set }
            when PTXCodeGenerator.SupportedInstructionSets.Contains(set) => null,
        CudaDevice => "ILGPU has no instruction set for this device and driver",
        _ => null,
    };

    private static DeviceInfo Describe(string name, Device device) => new()
    {
        Name = name,
        Kind = device.AcceleratorType switch
        {
            AcceleratorType.Cuda => DeviceKind.Cuda,
            AcceleratorType.OpenCL => DeviceKind.OpenCL,
            _ => DeviceKind.IlgpuCpu,
        },
        Description = device is CPUDevice ? EmulatorDescription : device.Name,
        IsGpu = device is CudaDevice or CLDevice { DeviceType: CLDeviceType.CL_DEVICE_TYPE_GPU },
        Problem = Problem(device),
        MemoryBytes = device is CPUDevice ? 0 : device.MemorySize,
        Multiprocessors = device.NumMultiprocessors,
        WarpSize = device.WarpSize,
        MaxGroupSize = device.MaxNumThreadsPerGroup,
        SharedMemoryBytes = device is CPUDevice ? 0 : device.MaxSharedMemoryPerGroup,
        Capability = device switch
        {
            CudaDevice { Architecture: CudaArchitecture architecture } => $"SM_{architecture.Major}{architecture.Minor}",
            CLDevice openCL => $"OpenCL {openCL.DeviceVersion.Major}.{openCL.DeviceVersion.Minor}",
            _ => "",
        },
    };
}
