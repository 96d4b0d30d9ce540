using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>Where a tensor's rows are in the device's memory.</summary>
public struct TextTensor
{
    /// <summary>The address of the first element.</summary>
    public long Address;

    /// <summary>Where the rows of each (batch, head) lie. Heads that share a matrix are not divided here.</summary>
    public RowLayout Rows;
}

/// <summary>An attention problem for a text: its sizes, and where its tensors lie. What a form does not have is 0.</summary>
public struct AttentionTextArguments
{
    /// <summary>Sizes. The layouts in it are not read.</summary>
    public AttentionArguments Attention;

    /// <summary>The queries of each (batch, head).</summary>
    public TextTensor Query;

    /// <summary>The keys of each (batch, key/value head).</summary>
    public TextTensor Key;

    /// <summary>The values of each (batch, key/value head).</summary>
    public TextTensor Value;

    /// <summary>The output of each (batch, head).</summary>
    public TextTensor Output;

    /// <summary>The rows' logarithms of sums, in float32.</summary>
    public TextTensor LogSumExp;

    /// <summary>The address of the table of sequences.</summary>
    public long Sequences;

    /// <summary>The address of the heads' sinks.</summary>
    public long Sinks;

    /// <summary>The window.</summary>
    public WindowRange Window;
}
