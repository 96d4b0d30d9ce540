namespace AttentionGpu.Kernels.Common.Layouts;

/// <summary>
/// Where the element of a matrix lies in memory: <c>Base(matrix) + Row(row) + Column(column)</c>. Neighbouring columns are neighbours in
/// memory. A layout is a struct that the matmul is
/// generic over, so that reading or writing heads in place costs no extra pass.
/// </summary>
public interface IMatrixLayout
{
    /// <summary>The first element of one matrix of a batch.</summary>
    long Base(int matrix);

    /// <summary>What a row adds to the address.</summary>
    long Row(int row);

    /// <summary>What a column adds to the address.</summary>
    long Column(int column);
}
