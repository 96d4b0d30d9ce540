using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Devices;
using ILGPU.Backends.OpenCL;

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
        Assert.Equal("cuda:1", Select(_openCLGpu, _cuda with { Name = "cuda:1" }, _cuda, _simd, _reference));
        Assert.Equal("opencl:2", Select(_openCLGpu with { Name = "opencl:2" }, _openCLGpu, _simd, _reference));

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
    public void A_selection_says_why()
    {
        DeviceInfo[] devices = [_cuda, _openCLGpu, _emulator, _simd, _reference];
        Assert.Equal("named by the argument", Reason(null, "simd", devices));
        Assert.Equal("named by the environment variable ATTENTION_DEVICE", Reason("simd", "auto", devices));
        Assert.Equal("the first CUDA device", Reason(null, "auto", devices));
        Assert.Equal("the first CUDA device", Reason("", "auto", devices));
        Assert.Equal("the first CUDA device", Reason("auto", "auto", devices));
        Assert.Equal("no CUDA device; the first OpenCL GPU", Reason(null, "auto", devices[1..]));
        Assert.Equal("no GPU; the processor's vector instructions", Reason(null, "auto", devices[2..]));

        static string Reason(string? variable, string name, DeviceInfo[] devices) =>
            WithVariable(variable, () => DeviceCatalog.Select(name, devices).Reason);
    }

    [Theory]
    [InlineData("SIMD", "simd")]
    [InlineData("Cuda:0", "cuda:0")]
    [InlineData("AUTO", "simd")]
    public void A_name_is_the_same_in_any_case(string name, string selected) => Assert.Equal(
        selected, WithVariable("simd", () => DeviceCatalog.Select(name, [_cuda, _simd, _reference]).Device.Name));

    [Theory]
    [InlineData("gpu")]
    [InlineData(" simd")]
    [InlineData("cuda:1")]
    [InlineData("automatic")]
    public void A_name_that_no_device_has_is_refused_with_those_that_there_are(string name)
    {
        DeviceInfo[] devices = [_cuda, _simd, _reference];
        (string Variable, string Wanted, string Source)[] ways =
            [("simd", name, "the argument"), (name, "auto", "the environment variable ATTENTION_DEVICE")];
        foreach ((string variable, string wanted, string source) in ways)
        {
            ArgumentException exception =
                Assert.Throws<ArgumentException>(() => WithVariable(variable, () => DeviceCatalog.Select(wanted, devices)));
            Assert.Equal("device", exception.ParamName);
            Assert.StartsWith(
                $"There is no device '{name}' (from {source}). Devices here: cuda:0, simd, reference, or auto.",
                exception.Message,
                StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentNullException>(() => AttentionEngine.SelectDevice(null!));
        Assert.Equal("device", Assert.Throws<ArgumentException>(() => AttentionEngine.SelectDevice("")).ParamName);
    }

    [Fact]
    public void A_device_that_cannot_be_used_is_refused_with_the_reason()
    {
        DeviceInfo broken = _openCLGpu with { Problem = "an old driver" };
        DeviceInfo[] devices = [_cuda with { Problem = "no instruction set" }, broken, _simd, _reference];
        Assert.Equal("simd", WithVariable(null, () => DeviceCatalog.Select("auto", devices).Device.Name));
        ArgumentException exception =
            Assert.Throws<ArgumentException>(() => WithVariable(null, () => DeviceCatalog.Select("opencl:1", devices)));
        Assert.Equal("device", exception.ParamName);
        Assert.StartsWith(
            "The device 'opencl:1' (opencl:1; from the argument) cannot be used: an old driver. Devices here: simd, reference, or auto.",
            exception.Message, StringComparison.Ordinal);
        Assert.Contains(
            "Devices here: simd, reference,",
            Assert.Throws<ArgumentException>(() => WithVariable(null, () => DeviceCatalog.Select("cuda:7", devices))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Where_ILGPU_fails_the_processor_works_and_the_reason_is_told()
    {
        IReadOnlyList<DeviceInfo> devices = DeviceCatalog.List(
            () => throw new TypeInitializationException("ILGPU.Context", new NotSupportedException("No such intrinsic.")));
        const string reason =
            "ILGPU, which drives this device and those of CUDA and OpenCL, failed with NotSupportedException: No such intrinsic";
        Assert.Equal(
            [("ilgpu-cpu", reason), ("simd", null), ("reference", null)], devices.Select(device => (device.Name, device.Problem)));
        Assert.Equal("simd", Select("simd").Device.Name);
        Assert.Equal(new DeviceSelection(devices[1], $"no GPU: {reason}; the processor's vector instructions"), Select("auto"));
        Assert.StartsWith(
            $"There is no device 'cuda:0' (from the argument). Devices here: simd, reference, or auto. ilgpu-cpu cannot be used: {reason}.",
            Assert.Throws<ArgumentException>(() => Select("cuda:0")).Message, StringComparison.Ordinal);
        Assert.Contains(reason, Assert.Throws<ArgumentException>(() => Select("ilgpu-cpu")).Message, StringComparison.Ordinal);
        Assert.Throws<InsufficientMemoryException>(() => DeviceCatalog.List(() => throw new InsufficientMemoryException()));

        DeviceSelection Select(string name) => WithVariable(null, () => DeviceCatalog.Select(name, devices));
    }

    [Fact]
    public void An_OpenCL_driver_that_ILGPU_cannot_use_says_why()
    {
        Assert.Null(AcceleratorDevices.OpenCLProblem(new CLCVersion(2, 0), hasGenericAddressSpaces: true));
        Assert.Null(AcceleratorDevices.OpenCLProblem(new CLCVersion(3, 0), hasGenericAddressSpaces: true));
        Assert.Contains(
            "generic address spaces", AcceleratorDevices.OpenCLProblem(new CLCVersion(3, 0), hasGenericAddressSpaces: false)!,
            StringComparison.Ordinal);
        Assert.Contains(
            "OpenCL C 1.2; ILGPU needs 2.0", AcceleratorDevices.OpenCLProblem(new CLCVersion(1, 2), hasGenericAddressSpaces: true)!,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Devices_are_numbered_in_each_kind() => Assert.Equal(
        [("cuda:0", "a"), ("cuda:1", "b"), ("opencl:0", "c"), ("opencl:1", "d"), ("opencl:2", "e"), ("ilgpu-cpu", "f")],
        AcceleratorDevices.Number(["a", "b"], ["c", "d", "e"], ["f"]));

    [Fact]
    public void An_engine_without_a_name_takes_the_variable()
    {
        using AttentionEngine engine = WithVariable("reference", () => new AttentionEngine());
        Assert.Equal(DeviceKind.Reference, engine.Device.Kind);
        Assert.Equal("reference", WithVariable("reference", () => AttentionEngine.SelectDevice()).Device.Name);
        ArgumentException exception = Assert.Throws<ArgumentException>(() => WithVariable("nothing", () => new AttentionEngine()));
        Assert.Contains("'nothing'", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_listed_device_is_what_its_name_selects()
    {
        foreach (DeviceInfo device in AttentionEngine.ListDevices().Where(one => one.Problem is null && one.Kind != DeviceKind.OpenCL))
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
