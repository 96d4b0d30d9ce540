using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends;

/// <summary>
/// Executes validated problems on one device. All members may be called from many threads at once; work that one thread starts runs in
/// the order in which it was started.
/// </summary>
internal interface IAttentionBackend : IDisposable
{
    /// <summary>The device.</summary>
    DeviceInfo Device { get; }

    /// <summary>Whether the backend computes on the host's memory, so that a caller's pinned spans need no copy.</summary>
    bool UsesHostMemory { get; }

    /// <summary>Bytes of memory that is rented.</summary>
    long BytesInUse { get; }

    /// <summary>Picks kernels and workspace for an attention problem. Everything that can fail fails here.</summary>
    IPlan<AttentionBuffers> Plan(AttentionProblem problem);

    /// <summary>Picks kernels for a linear problem.</summary>
    IPlan<LinearBuffers> Plan(LinearProblem problem);

    /// <summary>Picks kernels for rows that are copied, normalised or rotated.</summary>
    IPlan<HeadTransformBuffers> Plan(HeadTransform problem);

    /// <summary>
    /// Rows of a weight that <see cref="PanelWeight"/> joins: it takes weights whose rows are a multiple of it. 0 where the backend reads
    /// weights as they are.
    /// </summary>
    int WeightPanelRows { get; }

    /// <summary>
    /// Rearranges the weight of a linear layer, once, into the order in which the backend reads it best. It stays as large, and a multiple of
    /// <see cref="WeightPanelRows"/> rows stays together, so that a slice of a panelled weight is a panelled weight.
    /// </summary>
    void PanelWeight(DeviceMemory weight, int rows, int depth);

    /// <summary>Takes memory from the pool; its contents are undefined.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough.</exception>
    DeviceMemory Rent(long byteLength);

    /// <summary>Gives memory back. Work already started may still use it.</summary>
    void Return(DeviceMemory memory);

    /// <summary>Copies from the host; the source may change when it returns.</summary>
    void Upload(ReadOnlySpan<byte> source, DeviceMemory target);

    /// <summary>Copies to the host, after all work started before.</summary>
    void Download(DeviceMemory source, Span<byte> target);

    /// <summary>Waits until all work started before has finished.</summary>
    void Synchronize();
}

/// <summary>What a backend has decided for one problem: <see cref="Execute"/> only runs. May be shared by threads.</summary>
internal interface IPlan<TBuffers>
    where TBuffers : struct
{
    /// <summary>Starts the work. It may still be running on return; see <see cref="IAttentionBackend.Synchronize"/>.</summary>
    void Execute(in TBuffers buffers);
}
