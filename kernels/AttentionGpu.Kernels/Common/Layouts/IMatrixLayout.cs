namespace AttentionGpu.Kernels.Common.Layouts;

/// <summary>
/// Where the element of a matrix lies in memory: <c>Base(matrix) + Row(row) + Column(column)</c>. The products are generic over the layout
/// of their result, so that heads are split without an extra pass.
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
