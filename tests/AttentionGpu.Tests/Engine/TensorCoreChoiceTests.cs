using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Kernels.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Engine;

/// <summary>Which problems go to tensor cores, where there are such.</summary>
public class TensorCoreChoiceTests
{
    private static readonly AttentionProblem _attention = new()
    {
        Batch = 2,
        Heads = 4,
        KeyValueHeads = 2,
        QueryLength = 5,
        KeyLength = 7,
        HeadSize = 64,
        ValueHeadSize = 128,
        Scale = 1f,
        Element = ElementType.Float16,
        Query = TensorLayout.Contiguous(4, 5, 64),
        Key = TensorLayout.Contiguous(2, 7, 64),
        Value = TensorLayout.Contiguous(2, 7, 128),
        Output = TensorLayout.Contiguous(4, 5, 128),
        Sequence = new Sequence { QueryLength = 5, KeyLength = 7 },
    };

    private static readonly LinearProblem _linear = new()
    {
        Rows = 3,
        Columns = 16,
        Depth = 24,
        HasBias = true,
        Element = ElementType.BFloat16,
        Output = MatrixMap.Contiguous(3, 16),
    };

    [Fact]
    public void Attention_in_pieces_of_16_bytes_fits()
    {
        Assert.True(TensorForwardPlan.Fits(_attention));
        Assert.True(TensorForwardPlan.Fits(_attention with { Element = ElementType.BFloat16, Causal = CausalKind.Causal, Window = new WindowSize(3, 4), HasSequences = true }));
        Assert.False(TensorForwardPlan.Fits(_attention with { Element = ElementType.Float32 }));
        Assert.False(TensorForwardPlan.Fits(_attention with { HeadSize = 60 }));
        Assert.False(TensorForwardPlan.Fits(_attention with { ValueHeadSize = 136 }));
        Assert.False(TensorForwardPlan.Fits(_attention with { Key = new TensorLayout(900, 450, 68) }));
    }

    [Fact]
    public void What_changes_scores_or_asks_for_sums_does_not()
    {
        Assert.False(TensorForwardPlan.Fits(_attention with { Softcap = 1f }));
        Assert.False(TensorForwardPlan.Fits(_attention with { HasAlibi = true }));
        Assert.False(TensorForwardPlan.Fits(_attention with { HasSinks = true }));
        Assert.False(TensorForwardPlan.Fits(_attention with { HasDocuments = true }));
        Assert.False(TensorForwardPlan.Fits(_attention with { HasKeyPadding = true }));
        Assert.False(TensorForwardPlan.Fits(_attention with { Mask = default(MaskLayout) }));
        Assert.False(TensorForwardPlan.Fits(_attention with { Bias = default(MaskLayout) }));
        Assert.False(TensorForwardPlan.Fits(_attention with { LogSumExp = TensorLayout.Contiguous(4, 5, 1) }));
    }

    [Fact]
    public void Plain_products_of_16_bits_fit()
    {
        Assert.True(TensorLinearPlan.Fits(_linear));
        Assert.False(TensorLinearPlan.Fits(_linear with { Element = ElementType.Float32 }));
        Assert.False(TensorLinearPlan.Fits(_linear with { Depth = 20 }));
        Assert.False(TensorLinearPlan.Fits(_linear with { Columns = 12, Output = MatrixMap.Contiguous(3, 12) }));
        Assert.False(TensorLinearPlan.Fits(_linear with { Output = new MatrixMap(3, 0, 8, 8, 24) }));
    }
}
