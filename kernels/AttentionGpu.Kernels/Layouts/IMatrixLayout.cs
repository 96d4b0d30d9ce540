namespace AttentionGpu.Kernels.Layouts;

/// <summary>
/// Where the element of a matrix lies in memory: <c>Base(matrix) + Row(row) + Column(column)</c>. A layout is a struct that the matmul is
/// generic over, so that reading or writing heads in place costs no extra pass.
/// </summary>
public interface IMatrixLayout
{
    /// <summary>Whether neighbouring columns (rather than rows) are neighbours in memory: the order in which threads load, for coalescing.</summary>
    static abstract bool ColumnsContiguous { get; }

    /// <summary>The first element of one matrix of a batch.</summary>
    long Base(int matrix);

    /// <summary>What a row adds to the address.</summary>
    long Row(int row);

    /// <summary>What a column adds to the address.</summary>
    long Column(int column);
}
