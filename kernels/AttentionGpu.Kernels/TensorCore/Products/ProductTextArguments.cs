using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>A matrix product for a text: its sizes, and where its matrices lie. The operands are contiguous.</summary>
public struct ProductTextArguments
{
    /// <summary>The sizes.</summary>
    public MatmulArguments Sizes;

    /// <summary>The address of the left operand.</summary>
    public long Left;

    /// <summary>The address of the right operand.</summary>
    public long Right;

    /// <summary>The address of the bias; not read without one.</summary>
    public long Bias;

    /// <summary>The address of the result.</summary>
    public long Result;

    /// <summary>Where the rows and columns of the result lie. Only the stride of its inner rows is read where the result is not split.</summary>
    public HeadLayout ResultLayout;
}
