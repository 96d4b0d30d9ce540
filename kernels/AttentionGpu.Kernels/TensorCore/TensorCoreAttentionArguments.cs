using AttentionGpu.Kernels.Common.Attention;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>An attention problem on tensor cores: its sizes and layouts, and where its tensors lie.</summary>
public struct TensorCoreAttentionArguments
{
    /// <summary>Sizes and layouts. Strides are multiples of 8 elements.</summary>
    public AttentionArguments Attention;

    /// <summary>The address of the queries; like the others a multiple of 16.</summary>
    public long Query;

    /// <summary>The address of the keys.</summary>
    public long Key;

    /// <summary>The address of the values.</summary>
    public long Value;

    /// <summary>The address of the output.</summary>
    public long Output;
}
