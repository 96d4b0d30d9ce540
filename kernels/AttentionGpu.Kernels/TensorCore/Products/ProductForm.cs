using AttentionGpu.Kernels.TensorCore.Attention;

namespace AttentionGpu.Kernels.TensorCore.Products;

/// <summary>What a text of a matrix product is made of. Everything else is an argument.</summary>
public sealed record ProductForm
{
    /// <summary>The element type of all matrices and of the bias.</summary>
    public required TensorElement Element { get; init; }

    /// <summary>What a group computes.</summary>
    public required ProductTile Tile { get; init; }

    /// <summary>Whether a row of the result starts as the bias.</summary>
    public bool HasBias { get; init; }

    /// <summary>Whether the result has several heads or outer rows; else its rows have one stride, and its columns are neighbours.</summary>
    public bool IsSplit { get; init; }

    /// <summary>Whether the operands start at multiples of 16 bytes, and the depth is a multiple of 8.</summary>
    public required bool IsInputAligned { get; init; }

    /// <summary>
    /// Whether the result starts at a multiple of 16 bytes, and its columns, strides and head size are multiples of 8. What is not split
    /// has one stride and no head size.
    /// </summary>
    public required bool IsOutputAligned { get; init; }
}
