using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The devices that ILGPU finds, under the engine's names.</summary>
internal static class AcceleratorDevices
{
    public const string EmulatorName = "ilgpu-cpu";

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

    /// <param name="emulatedWarpSize">Threads in a warp of the emulated device.</param>
    /// <param name="emulatedWarps">Warps in a group of it.</param>
    public static Context CreateContext(int emulatedWarpSize = EmulatedWarpSize, int emulatedWarps = 1)
    {
        lock (_drivers)
        {
            return Context.Create(builder => builder
                .Cuda()
                .OpenCL()
                .CPU(new CPUDevice(emulatedWarpSize, emulatedWarps, EmulatedMultiprocessors))
                .EnableAlgorithms()
                .Optimize(OptimizationLevel.O2));
        }
    }

    public static IReadOnlyList<DeviceInfo> List()
    {
        using Context context = CreateContext();
        return [.. Enumerate(context).Select(entry => Describe(entry.Name, entry.Device))];
    }

    public static Device Find(Context context, string name) =>
        Enumerate(context).First(entry => entry.Name == name).Device;

    /// <summary>An accelerator that somebody else has made: under the name that its device has in its context.</summary>
    public static DeviceInfo Describe(ILGPU.Runtime.Accelerator accelerator)
    {
        (string? name, Device? _) = Enumerate(accelerator.Context).Find(entry => entry.Device == accelerator.Device);
        return Describe(name ?? EmulatorName, accelerator.Device);
    }

    private static List<(string Name, Device Device)> Enumerate(Context context)
    {
        List<(string, Device)> devices = [];
        foreach (CudaDevice device in context.GetCudaDevices())
            devices.Add(($"cuda:{devices.Count}", device));
        int cudaDevices = devices.Count;
        foreach (CLDevice device in context.GetCLDevices())
            devices.Add(($"opencl:{devices.Count - cudaDevices}", device));
        foreach (CPUDevice device in context.GetCPUDevices())
            devices.Add((EmulatorName, device));
        return devices;
    }

    private static DeviceInfo Describe(string name, Device device) => new()
    {
        Name = name,
        Kind = device.AcceleratorType switch
        {
            AcceleratorType.Cuda => DeviceKind.Cuda,
            AcceleratorType.OpenCL => DeviceKind.OpenCL,
            _ => DeviceKind.IlgpuCpu,
        },
        Description = device is CPUDevice ? "ILGPU's CPU accelerator: emulates a GPU, for tests" : device.Name,
        IsGpu = device is CudaDevice or CLDevice { DeviceType: CLDeviceType.CL_DEVICE_TYPE_GPU },
        Problem = device is CLDevice { Capabilities.GenericAddressSpace: false }
            ? "the driver has no generic address spaces, which ILGPU needs"
            : null,
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
