using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>The steps of a layer around attention: the projections before it, and the one after it.</summary>
internal interface IAttentionSteps
{
    /// <summary>Whether queries, keys, values and output of the call may be strided, as far as their rows are contiguous.</summary>
    bool TakesStridedRows { get; }

    /// <summary>Bytes that lie between the steps.</summary>
    long IntermediateBytes { get; }

    /// <summary>Bytes of memory that a step takes while it runs.</summary>
    long WorkspaceBytes(AttentionEngine engine);

    /// <summary>Adds the plans of the steps to those that are made at once.</summary>
    void AddTo(ref NewPlans plans);

    /// <summary>Makes the queries, keys and values of attention, and room for its output.</summary>
    /// <param name="engine">Runs the step.</param>
    /// <param name="buffers">The tensors of the call.</param>
    /// <param name="intermediate">Memory of <see cref="IntermediateBytes"/>.</param>
    /// <param name="workspace">Memory of <see cref="WorkspaceBytes"/>.</param>
    AttentionBuffers Before(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace);

    /// <summary>Makes the output of the call from that of attention. Parameters as for <see cref="Before"/>.</summary>
    void After(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace);
}

/// <summary>No steps: attention reads and writes the tensors of the call.</summary>
internal readonly struct NoSteps : IAttentionSteps
{
    public bool TakesStridedRows => true;

    public long IntermediateBytes => 0;

    public long WorkspaceBytes(AttentionEngine engine) => 0;

    public void AddTo(ref NewPlans plans)
    {
    }

    public AttentionBuffers Before(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace) => buffers;

    public void After(AttentionEngine engine, in AttentionBuffers buffers, DeviceMemory intermediate, DeviceMemory workspace)
    {
    }
}
