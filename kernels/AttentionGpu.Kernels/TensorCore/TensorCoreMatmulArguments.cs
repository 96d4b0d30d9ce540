using AttentionGpu.Kernels.Common.Matmul;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>A product on tensor cores of contiguous matrices: its sizes, and where they lie. Columns and depth are multiples of 8.</summary>
public struct TensorCoreMatmulArguments
{
    /// <summary>The sizes.</summary>
    public MatmulArguments Sizes;

    /// <summary>The address of the left operand; like the others a multiple of 16.</summary>
    public long Left;

    /// <summary>The address of the right operand.</summary>
    public long Right;

    /// <summary>The address of the bias; 0 without one.</summary>
    public long Bias;

    /// <summary>The address of the result.</summary>
    public long Result;
}
