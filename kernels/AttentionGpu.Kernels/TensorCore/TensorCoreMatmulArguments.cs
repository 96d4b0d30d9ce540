using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>
/// A product on tensor cores: its sizes, and where its matrices lie. The operands are contiguous. Columns and depth are multiples of 8
/// elements, and so are the strides of the result, and its head size where there are several heads.
/// </summary>
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

    /// <summary>Where the rows and columns of the result lie.</summary>
    public HeadLayout ResultLayout;

    /// <summary>
    /// Not 0 where the result has several heads or outer rows; else its rows have one stride, and its columns are neighbours.
    /// </summary>
    public int IsResultSplit;
}
