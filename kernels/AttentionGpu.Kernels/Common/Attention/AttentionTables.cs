using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Attention;

/// <summary>
/// Small inputs and outputs that a group reads or writes once, outside its loops. What <see cref="AttentionArguments"/> says a problem does
/// not have is never touched, but must be some memory.
/// </summary>
public struct AttentionTables
{
    /// <summary>A sequence a batch entry.</summary>
    public ArrayView<Sequence> Sequences;

    /// <summary>A logit a query head, that takes part in the softmax and has no value.</summary>
    public ArrayView<float> Sinks;

    /// <summary>The logarithm of the sum of exponentials of each row.</summary>
    public ArrayView<float> LogSumExp;
}
