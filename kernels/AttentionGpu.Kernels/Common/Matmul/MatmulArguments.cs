namespace AttentionGpu.Kernels.Common.Matmul;

/// <summary>The sizes of a batch of products <c>result[rows, columns] = left[rows, depth] * right[columns, depth]^T</c>.</summary>
public struct MatmulArguments
{
    /// <summary>Rows of the left operand and of the result.</summary>
    public int Rows;

    /// <summary>Rows of the right operand: columns of the result.</summary>
    public int Columns;

    /// <summary>The inner dimension.</summary>
    public int Depth;
}
