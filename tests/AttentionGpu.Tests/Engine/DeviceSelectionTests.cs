using AttentionGpu.Devices;

namespace AttentionGpu.Tests.Engine;

public class DeviceSelectionTests
{
    private static readonly DeviceInfo _reference = Device("reference", DeviceKind.Reference);
    private static readonly DeviceInfo _emulator = Device("ilgpu-cpu", DeviceKind.IlgpuCpu);
    private static readonly DeviceInfo _simd = Device("simd", DeviceKind.Simd);
    private static readonly DeviceInfo _openCLProcessor = Device("opencl:0", DeviceKind.OpenCL);
    private static readonly DeviceInfo _openCLGpu = Device("opencl:1", DeviceKind.OpenCL) with { IsGpu = true };
    private static readonly DeviceInfo _cuda = Device("cuda:0", DeviceKind.Cuda) with { IsGpu = true };

    [Fact]
    public void Auto_takes_CUDA_then_an_OpenCL_GPU_then_the_processor()
    {
        Assert.Equal("cuda:0", Select(_emulator, _simd, _openCLGpu, _cuda, _reference));
        Assert.Equal("opencl:1", Select(_emulator, _simd, _openCLProcessor, _openCLGpu, _reference));
        Assert.Equal("simd", Select(_openCLProcessor, _emulator, _simd, _reference));
        Assert.Equal("simd", Select(_openCLGpu with { Problem = "an old driver" }, _emulator, _simd, _reference));

        static string Select(params DeviceInfo[] devices) =>
            WithVariable(null, () => DeviceCatalog.Select("auto", devices).Device.Name);
    }

    [Fact]
    public void The_variable_overrides_auto_alone()
    {
        DeviceInfo[] devices = [_cuda, _emulator, _reference];
        Assert.Equal("reference", WithVariable("reference", () => DeviceCatalog.Select("auto", devices).Device.Name));
        Assert.Equal("ilgpu-cpu", WithVariable("reference", () => DeviceCatalog.Select("ilgpu-cpu", devices).Device.Name));
        Assert.Equal("cuda:0", WithVariable("auto", () => DeviceCatalog.Select("auto", devices).Device.Name));
        ArgumentException missing = Assert.Throws<ArgumentException>(
            () => WithVariable("opencl:0", () => DeviceCatalog.Select("auto", devices)));
        Assert.Contains("ATTENTION_DEVICE", missing.Message, StringComparison.Ordinal);
        Assert.Contains("cuda:0, ilgpu-cpu, reference", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_listed_device_is_what_its_name_selects()
    {
        foreach (DeviceInfo device in AttentionEngine.ListDevices().Where(device => device.Kind != DeviceKind.OpenCL))
        {
            using var engine = new AttentionEngine(device.Name);
            Assert.Equal(device, engine.Device);
        }
    }

    private static DeviceInfo Device(string name, DeviceKind kind) => new() { Name = name, Kind = kind, Description = name };

    private static T WithVariable<T>(string? value, Func<T> action)
    {
        string? before = Environment.GetEnvironmentVariable(DeviceCatalog.Variable);
        Environment.SetEnvironmentVariable(DeviceCatalog.Variable, value);
        try
        {
            return action();
        }
        finally
        {
            Environment.SetEnvironmentVariable(DeviceCatalog.Variable, before);
        }
    }
}
