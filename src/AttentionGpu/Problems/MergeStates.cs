using AttentionGpu.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>
/// Attention over parts of the keys, joined to that over all of them: each part's outputs count by the exponential of their log-sum-exp.
/// </summary>
internal readonly record struct MergeStatesSignature : ISignature<MergeStatesExtent, MergeStatesBuffers>
{
    /// <summary>How the outputs are stored, and the merged output.</summary>
    public required ElementType Element { get; init; }

    /// <summary>Elements of an output row.</summary>
    public required int ValueHeadSize { get; init; }

    /// <summary>Whether the logarithms of the joined sums are asked for.</summary>
    public bool HasLogSumExp { get; init; }
}

/// <summary>The sizes of one call.</summary>
internal readonly struct MergeStatesExtent
{
    public required int Parts { get; init; }

    public required int Batch { get; init; }

    public required int Heads { get; init; }

    /// <summary>Rows of a head.</summary>
    public required int Length { get; init; }

    /// <summary>Where the rows of a part's outputs lie, and those of the merged output.</summary>
    public required TensorLayout Output { get; init; }

    /// <summary>Where the logarithms of sums lie, of a part and joined.</summary>
    public required TensorLayout LogSumExp { get; init; }

    /// <summary>Rows of a part.</summary>
    public long Rows => (long)Batch * Heads * Length;

    /// <summary>Where a row is, by its number.</summary>
    public (int Batch, int Head, int Query) Place(long row) =>
        ((int)(row / Length / Heads), (int)(row / Length % Heads), (int)(row % Length));
}

/// <summary>The memory that a plan runs on.</summary>
internal readonly struct MergeStatesBuffers
{
    /// <summary>The outputs of the parts, one part after another.</summary>
    public DeviceMemory Outputs { get; init; }

    /// <summary>The logarithms of their sums.</summary>
    public DeviceMemory LogSumExps { get; init; }

    public DeviceMemory Output { get; init; }

    public DeviceMemory LogSumExp { get; init; }
}
