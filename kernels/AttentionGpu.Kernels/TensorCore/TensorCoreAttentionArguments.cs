using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Layouts;

namespace AttentionGpu.Kernels.TensorCore;

/// <summary>An attention problem on tensor cores: its sizes and layouts, and where its tensors lie.</summary>
public struct TensorCoreAttentionArguments
{
    /// <summary>Sizes and layouts. Strides are multiples of 8 elements.</summary>
    public AttentionArguments Attention;

    /// <summary>Where the queries of each (batch, head) lie.</summary>
    public RowLayout QueryRows;

    /// <summary>Where the keys lie; heads of a group share them.</summary>
    public RowLayout KeyRows;

    /// <summary>Where the values lie; heads of a group share them.</summary>
    public RowLayout ValueRows;

    /// <summary>The address of the queries; like the others a multiple of 16.</summary>
    public long Query;

    /// <summary>The address of the keys.</summary>
    public long Key;

    /// <summary>The address of the values.</summary>
    public long Value;

    /// <summary>The address of the output.</summary>
    public long Output;
}
