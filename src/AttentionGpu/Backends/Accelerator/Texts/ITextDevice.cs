using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Backends.Accelerator.Texts;

/// <summary>A device that runs kernels written in PTX.</summary>
internal interface ITextDevice : IDisposable
{
    /// <summary>Loads a kernel. Many threads may do so at once.</summary>
    ILoadedText Load(PtxKernel kernel);
}

/// <summary>A kernel that a device has loaded. It is there as long as the device.</summary>
internal interface ILoadedText
{
    /// <summary>Starts it on the engine's stream, in order with other work there. The caller holds the gate.</summary>
    /// <param name="groups">One-dimensional groups.</param>
    /// <param name="arguments">The parameters.</param>
    void Launch(int groups, ref TextArguments arguments);
}
