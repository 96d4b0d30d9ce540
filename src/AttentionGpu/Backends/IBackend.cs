using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends;

/// <summary>
/// One device: its memory, and its operators. All members may be called from many threads at once; work that one thread starts runs in the
/// order in which it was started.
/// </summary>
internal interface IBackend : IDisposable
{
    /// <summary>The device.</summary>
    DeviceInfo Device { get; }

    /// <summary>The device's memory.</summary>
    IDeviceMemory Memory { get; }

    /// <summary>The device's operators.</summary>
    IOperators Operators { get; }
}

/// <summary>The operators of a device. An operator is found by the type of its signature, so a new one changes no interface.</summary>
internal interface IOperators
{
    /// <summary>
    /// Rows of a weight that <see cref="PanelSignature"/> joins: it takes weights whose rows are a multiple of it. 0 where the device reads
    /// weights of this element type as they are.
    /// </summary>
    int PanelRows(ElementType element);

    /// <summary>Whether plans compile kernels, so that several are better made at once.</summary>
    bool CompilesKernels => false;

    /// <summary>Picks the kernels of a signature. A plan is made once for each signature and shared by all threads.</summary>
    /// <exception cref="NotSupportedException">The device has no operator of this class.</exception>
    IPlan<TExtent, TBuffers> Plan<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct;
}

/// <summary>A device's decision for one signature. It does not know the allocator: whoever runs it rents its workspace.</summary>
internal interface IPlan<TExtent, TBuffers>
    where TExtent : struct
    where TBuffers : struct
{
    /// <summary>
    /// Bytes of memory that a call of this extent takes beside its buffers. All that can fail fails here: kernels that the extent needs are
    /// compiled.
    /// </summary>
    /// <exception cref="NotSupportedException">The device cannot run so large a call.</exception>
    long WorkspaceBytes(in TExtent extent);

    /// <summary>Starts the work. It may still be running on return; see <see cref="IDeviceMemory.Synchronize"/>.</summary>
    /// <param name="extent">The sizes of the call.</param>
    /// <param name="buffers">Its memory.</param>
    /// <param name="workspace">At least <see cref="WorkspaceBytes"/> bytes; nothing where that is 0. Its contents are undefined.</param>
    void Execute(in TExtent extent, in TBuffers buffers, DeviceMemory workspace);
}
