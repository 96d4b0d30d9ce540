using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>A query and a key of a call in host memory.</summary>
internal readonly ref struct ScorePoint(ref readonly AttentionExtent extent, ref readonly AttentionBuffers buffers)
{
    /// <summary>The sizes of the call.</summary>
    public readonly ref readonly AttentionExtent Extent = ref extent;

    /// <summary>The memory of the call.</summary>
    public readonly ref readonly AttentionBuffers Buffers = ref buffers;

    /// <summary>The lengths and positions of the batch entry.</summary>
    public Sequence Sequence { get; init; }

    public int Batch { get; init; }

    /// <summary>The query head.</summary>
    public int Head { get; init; }

    /// <summary>The query, counted from the sequence's first.</summary>
    public int Query { get; init; }

    /// <summary>The key, counted from the sequence's first.</summary>
    public int Key { get; init; }
}
