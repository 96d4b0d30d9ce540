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

    // Four threads a group and two groups at a time: each emulated thread is an OS thread, and each barrier a meeting of all of a group's.
    private const int EmulatedGroupSize = 4;
    private const int EmulatedMultiprocessors = 2;

    public static Context CreateContext() => Context.Create(builder => builder
        .Cuda()
        .OpenCL()
        .CPU(new CPUDevice(EmulatedGroupSize, 1, EmulatedMultiprocessors))
        .EnableAlgorithms()
        .Optimize(OptimizationLevel.O2));

    public static IReadOnlyList<DeviceInfo> List()
    {
        using Context context = CreateContext();
        return [.. Enumerate(context).Select(entry => Describe(entry.Name, entry.Device))];
    }

    public static Device Find(Context context, string name) =>
        Enumerate(context).First(entry => entry.Name == name).Device;

    private static List<(string Name, Device Device)> Enumerate(Context context)
    {
        List<(string, Device)> devices = [];
        foreach (CudaDevice device in context.GetCudaDevices())
            devices.Add(($"cuda:{devices.Count}", device));
        int cudaDevices = devices.Count;
        foreach (CLDevice device in context.GetCLDevices())
            devices.Add(($"opencl:{devices.Count - cudaDevices}", device));
        devices.Add((EmulatorName, context.GetCPUDevices()[0]));
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
