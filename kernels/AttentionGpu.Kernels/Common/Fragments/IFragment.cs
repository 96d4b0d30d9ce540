using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// The accumulators of one thread: eight rows by four columns, once or several times (<see cref="Groups"/>). The groups lie
/// <c>4 * column threads</c> columns apart. Only fields, no arrays: ILGPU keeps fields in registers and puts arrays in local memory.
/// </summary>
public interface IFragment
{
    /// <summary>How many groups of four columns the fragment holds; a compile-time constant.</summary>
    static abstract int Groups { get; }

    /// <summary>
    /// Adds the outer product of eight rows and one line of <paramref name="panel"/>: 32 multiply-adds and one 16-byte load per group.
    /// </summary>
    /// <param name="rows">The left operand, one value per row.</param>
    /// <param name="panel">The right operand in shared memory, four columns an element.</param>
    /// <param name="index">This thread's element of the first group.</param>
    /// <param name="stride">Elements from one group to the next.</param>
    void MultiplyAdd(Rows8 rows, ArrayView<Float4> panel, int index, int stride);

    /// <summary>Multiplies every row by its factor.</summary>
    void Scale(Rows8 factors);

    /// <summary>Hands every group of four columns of every row to <paramref name="sink"/>.</summary>
    /// <param name="sink">What takes them.</param>
    /// <param name="column">The first column of the first group.</param>
    /// <param name="stride">Columns from one group to the next.</param>
    void Store<TSink>(TSink sink, int column, int stride)
        where TSink : struct, IFragmentSink;
}

/// <summary>A fragment that adds up block after block, each with weights relative to another maximum.</summary>
public interface IBlockFragment : IFragment
{
    /// <summary>Begins a block, for which what was accumulated so far shrinks by a factor a row.</summary>
    void StartBlock(Rows8 factors);

    /// <summary>Ends a block; the factors are those it began with.</summary>
    void EndBlock(Rows8 factors);
}

/// <summary>Takes finished accumulators: computes their address, drops what lies outside the matrix and writes the rest.</summary>
public interface IFragmentSink
{
    /// <summary>Begins four columns, whose rows follow: computes what depends on the column alone.</summary>
    /// <param name="column">The first of the four columns.</param>
    void MoveTo(int column);

    /// <summary>Writes one row of the four columns.</summary>
    /// <param name="row">The row among the thread's eight: 0 to 3 in the first half of the tile, 4 to 7 in the second.</param>
    /// <param name="column">The first of the four columns.</param>
    /// <param name="values">The accumulators.</param>
    void Write(int row, int column, Float4 values);
}
