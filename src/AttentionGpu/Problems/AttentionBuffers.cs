using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>The memory that an attention plan runs on. What the problem does not have is left at its default.</summary>
internal readonly struct AttentionBuffers
{
    public DeviceMemory Query { get; init; }

    public DeviceMemory Key { get; init; }

    public DeviceMemory Value { get; init; }

    public DeviceMemory Output { get; init; }

    public DeviceMemory Mask { get; init; }

    public DeviceMemory Bias { get; init; }

    public DeviceMemory KeyPadding { get; init; }

    public DeviceMemory QueryDocuments { get; init; }

    public DeviceMemory KeyDocuments { get; init; }

    public DeviceMemory AlibiSlopes { get; init; }

    public DeviceMemory Sinks { get; init; }

    public DeviceMemory Sequences { get; init; }

    public DeviceMemory Scores { get; init; }

    public DeviceMemory LogSumExp { get; init; }

    /// <summary>A batch entry's sequence; only in host memory.</summary>
    public unsafe Sequence SequenceOf(AttentionProblem problem, int batch) =>
        problem.HasSequences ? Sequences.Pointer<Sequence>()[batch] : problem.Sequence;

    /// <summary>A head's sink, or -inf; only in host memory.</summary>
    public unsafe float SinkOf(AttentionProblem problem, int head) =>
        problem.HasSinks ? Sinks.Pointer<float>()[head] : float.NegativeInfinity;
}
