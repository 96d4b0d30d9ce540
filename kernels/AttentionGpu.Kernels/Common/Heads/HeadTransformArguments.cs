using AttentionGpu.Kernels.Common.Layouts;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>The sizes and layouts of a stack of rows that are copied, and normalised and rotated on the way.</summary>
public struct HeadTransformArguments
{
    /// <summary>Rows of a head; of the longest sequence where they differ.</summary>
    public int Length;

    /// <summary>Heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Elements of a row.</summary>
    public int Size;

    /// <summary>Elements at the start of a row that are rotated, in pairs; even. 0 for none.</summary>
    public int RotarySize;

    /// <summary>Not 0 where the pairs are neighbours; else one is half the rotary size after the other.</summary>
    public int IsInterleaved;

    /// <summary>Not 0 where rows are normalised first.</summary>
    public int HasNorm;

    /// <summary>What is added to the mean of squares.</summary>
    public float Epsilon;

    /// <summary>Not 0 where the position of each row is in memory; else row i of a sequence has the first position plus i.</summary>
    public int HasPositions;

    /// <summary>The position of a sequence's first row, where positions are not in memory.</summary>
    public int FirstPosition;

    /// <summary>Rows from one batch entry's rotary tables to the next; 0 where all have the same.</summary>
    public int TableStride;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Not 0 where the rows are a sequence's keys, 0 where they are its queries.</summary>
    public int RowsAreKeys;

    /// <summary>
    /// Not 0 where the rows are the last of their sequence, as many as it has queries: they come from the rows of its queries, and their
    /// positions and their places in a target of keys follow the rows before.
    /// </summary>
    public int FollowsPast;

    /// <summary>Rows in all: of all batch entries and heads.</summary>
    public int Rows;

    /// <summary>2 to the power of this neighbouring threads share a row.</summary>
    public int LaneShift;

    /// <summary>
    /// Not 0 where four elements are read and written at once: the size of a row and, unless pairs are neighbours, half the rotary size are
    /// multiples of four, and all rows and tables start at a multiple of the size of four elements.
    /// </summary>
    public int IsAligned;

    /// <summary>Where the rows come from.</summary>
    public RowLayout Source;
}
