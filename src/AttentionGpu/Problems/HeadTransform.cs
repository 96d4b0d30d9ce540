using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>
/// Rows of a [batch, heads, length, size] tensor that are copied to where attention reads them, and normalised and rotated on the way where
/// it is asked for.
/// </summary>
internal readonly record struct HeadTransformSignature : ISignature<HeadTransformExtent, HeadTransformBuffers>
{
    /// <summary>How the source is stored.</summary>
    public required ElementType Element { get; init; }

    /// <summary>How the target is stored.</summary>
    public required KeyValueForm Target { get; init; }

    /// <summary>Elements of a row.</summary>
    public required int Size { get; init; }

    /// <summary>Whether rows are divided by their root mean square and multiplied by a factor an element.</summary>
    public bool HasNorm { get; init; }

    /// <summary>Elements at the start of a row that are rotated; 0 for none.</summary>
    public int RotarySize { get; init; }

    /// <summary>Whether the elements of a rotated pair are neighbours; else they are half the rotary size apart.</summary>
    public bool IsInterleaved { get; init; }

    /// <summary>Whether the position of each row is in memory; else row i of a sequence has position i plus a first one.</summary>
    public bool HasPositions { get; init; }

    /// <summary>Whether each batch entry has a sequence of its own, in memory.</summary>
    public bool HasSequences { get; init; }

    /// <summary>
    /// Whether the rows are the last of their sequence, as many as it has queries, behind a past: row i of the sequence's
    /// <see cref="Sequence.QueryLength"/> is the source's row <see cref="Sequence.QueryStart"/> + i, and has position
    /// <see cref="Sequence.DroppedKeys"/> + <see cref="Sequence.KeyLength"/> - <see cref="Sequence.QueryLength"/> + i. Queries stay in
    /// their row; keys and values go to row <see cref="Sequence.KeyStart"/> + <see cref="Sequence.KeyLength"/> -
    /// <see cref="Sequence.QueryLength"/> + i of the target, a cache. Sequences are in memory then.
    /// </summary>
    public bool FollowsPast { get; init; }
}

/// <summary>The sizes of one call.</summary>
internal readonly struct HeadTransformExtent
{
    public required int Batch { get; init; }

    public required int Heads { get; init; }

    /// <summary>Rows of a head; of the longest sequence where they differ.</summary>
    public required int Length { get; init; }

    public required TensorLayout Source { get; init; }

    public required TensorLayout Target { get; init; }

    /// <summary>What is added to the mean of squares.</summary>
    public float NormEpsilon { get; init; }

    /// <summary>The position of the first row, where positions are not in memory.</summary>
    public int FirstPosition { get; init; }

    /// <summary>Rows from one batch entry's rotary tables to the next: 0 where all have the same.</summary>
    public int TableStride { get; init; }

    /// <summary>Whether the rows are a sequence's keys; else they are its queries. Only where sequences are in memory.</summary>
    public bool RowsAreKeys { get; init; }

    /// <summary>Where the target is paged, a page has 2 to the power of this rows.</summary>
    public int PageShift { get; init; }

    public bool IsEmpty => Batch == 0 || Length == 0;

    /// <summary>The rows of a batch entry.</summary>
    /// <param name="signature">The signature of the plan.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="sequence">Its sequence; not read where sequences are not in memory.</param>
    public HeadTransformRows Rows(in HeadTransformSignature signature, int batch, in Sequence sequence)
    {
        if (!signature.HasSequences)
            return new HeadTransformRows(0, 0, Length, (long)batch * Length, FirstPosition);
        int start = RowsAreKeys ? sequence.KeyStart : sequence.QueryStart;
        if (!signature.FollowsPast)
            return new HeadTransformRows(start, start, RowsAreKeys ? sequence.KeyLength : sequence.QueryLength, start, FirstPosition);
        int past = sequence.KeyLength - sequence.QueryLength;
        return new HeadTransformRows(
            sequence.QueryStart, RowsAreKeys ? start + past : start, sequence.QueryLength, sequence.QueryStart,
            sequence.DroppedKeys + past);
    }
}

/// <summary>The rows of a batch entry: where they come from and go to, and their positions.</summary>
/// <param name="Source">The first row of the source.</param>
/// <param name="Target">The first row of the target.</param>
/// <param name="Count">How many rows.</param>
/// <param name="PositionIndex">The first row's among the positions that are in memory.</param>
/// <param name="FirstPosition">The first row's position, where positions are not in memory.</param>
internal readonly record struct HeadTransformRows(int Source, int Target, int Count, long PositionIndex, int FirstPosition);

/// <summary>The memory that a plan runs on.</summary>
internal readonly struct HeadTransformBuffers
{
    public DeviceMemory Source { get; init; }

    public DeviceMemory Target { get; init; }

    /// <summary>The scales of the target's rows, where they are quantised.</summary>
    public DeviceMemory TargetScales { get; init; }

    /// <summary>The number of each page of the target, where it is paged.</summary>
    public DeviceMemory Pages { get; init; }

    /// <summary>A factor for each element of a normalised row.</summary>
    public DeviceMemory Norm { get; init; }

    /// <summary>[positions, rotary size / 2]; one after another where batch entries have tables of their own.</summary>
    public DeviceMemory Cosine { get; init; }

    /// <summary>The shape of <see cref="Cosine"/>.</summary>
    public DeviceMemory Sine { get; init; }

    /// <summary>[batch, length]; [1, tokens] where sequences are ragged.</summary>
    public DeviceMemory Positions { get; init; }

    /// <summary>A sequence for each batch entry.</summary>
    public DeviceMemory Sequences { get; init; }
}
