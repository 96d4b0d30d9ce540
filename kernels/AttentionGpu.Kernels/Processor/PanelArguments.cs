using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;

namespace AttentionGpu.Kernels.Processor;

/// <summary>
/// What <see cref="PanelKernel"/> packs: the rows of a batch of matrices, in sequences of their own where they have such.
/// </summary>
public struct PanelArguments
{
    /// <summary>Lanes of a left operand's panels: the rows of a thread.</summary>
    public const int LeftLanes = 8;

    /// <summary>Lanes of a right operand's panels: a vector register of floats, or two.</summary>
    public const int RightLanes = 16;

    /// <summary>Floats in a line of a panel.</summary>
    public int Lanes;

    /// <summary>Rows of a matrix at most; how many a sequence has is in the sequence.</summary>
    public int Rows;

    /// <summary>Columns of a matrix.</summary>
    public int Columns;

    /// <summary>Matrices in a batch entry.</summary>
    public int Matrices;

    /// <summary>Not 0 where rows are the lanes of a panel, 0 where columns are.</summary>
    public int RowsAreLanes;

    /// <summary>Not 0 where a sequence's queries are the rows, 0 where its keys are.</summary>
    public int RowsAreQueries;

    /// <summary>Every batch entry's rows, unless there is a table.</summary>
    public Sequence Sequence;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Lines of a panel.</summary>
    public readonly int PanelDepth => RowsAreLanes != 0 ? Columns : Rows;

    /// <summary>Panels of a matrix.</summary>
    public readonly int Panels => TileCount.DivideUp(RowsAreLanes != 0 ? Rows : Columns, Lanes);

    /// <summary>Lines that a matrix becomes.</summary>
    public readonly long MatrixLines => (long)Panels * PanelDepth;

    /// <summary>Floats that a matrix becomes.</summary>
    public readonly long MatrixElements => MatrixLines * Lanes;

    /// <summary>An operand of a batch of products; its columns are the products' depth.</summary>
    public static PanelArguments Operand(int lanes, int rows, int columns) => new()
    {
        Lanes = lanes,
        Rows = rows,
        Columns = columns,
        Matrices = 1,
        RowsAreLanes = 1,
        Sequence = new Sequence { KeyLength = rows },
    };
}
