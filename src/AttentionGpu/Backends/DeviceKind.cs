namespace AttentionGpu;

/// <summary>What executes the work.</summary>
public enum DeviceKind
{
    /// <summary>An NVIDIA GPU, through ILGPU's PTX compiler.</summary>
    Cuda,

    /// <summary>An OpenCL device, through ILGPU's OpenCL C compiler.</summary>
    OpenCL,

    /// <summary>ILGPU's CPU accelerator: emulates a GPU with threads, to test the kernels. Slow.</summary>
    IlgpuCpu,

    /// <summary>The host's processor, by its vector instructions.</summary>
    Simd,

    /// <summary>Plain loops in float64 on the host: the yardstick for correctness. Slow.</summary>
    Reference,
}
