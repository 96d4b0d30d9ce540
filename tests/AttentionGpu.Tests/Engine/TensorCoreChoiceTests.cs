using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Which problems go to tensor cores, where there are such.</summary>
public class TensorCoreChoiceTests
{
    private static readonly AttentionProblem _attention =
        ContiguousProblem.Attention(batch: 2, heads: 4, keyValueHeads: 2, queries: 5, keys: 7, headSize: 64, valueSize: 128)
        with
        { Element = ElementType.Float16 };

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
        Assert.True(TensorCoreForwardPlan.Fits(_attention));
        Assert.True(TensorCoreForwardPlan.Fits(_attention with { Element = ElementType.BFloat16, Causal = CausalKind.Causal, Window = new WindowSize(3, 4), HasSequences = true }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { Element = ElementType.Float32 }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { HeadSize = 60 }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { ValueHeadSize = 136 }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { Key = new TensorLayout(900, 450, 68) }));
    }

    [Theory]
    [InlineData(8, true)]
    [InlineData(128, true)]
    [InlineData(4, false)]
    [InlineData(7, false)]
    [InlineData(12, false)]
    [InlineData(124, false)]
    [InlineData(129, false)]
    [InlineData(136, false)]
    public void Heads_of_whole_pieces_up_to_128_elements_fit(int size, bool fits)
    {
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_attention with { HeadSize = size }));
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_attention with { ValueHeadSize = size }));
    }

    [Fact]
    public void Every_stride_of_every_tensor_must_be_in_whole_pieces()
    {
        var layout = new TensorLayout(4096, 1024, 128);
        TensorLayout[] aligned =
        [
            layout with { BatchStride = 4104 }, layout with { HeadStride = 1032 }, layout with { RowStride = 136 },
            new TensorLayout(0, 0, 0),
        ];
        long[] crooked = [1, 2, 4, 7, 12];
        TensorLayout[] others =
        [
            .. crooked.Select(more => layout with { BatchStride = layout.BatchStride + more }),
            .. crooked.Select(more => layout with { HeadStride = layout.HeadStride + more }),
            .. crooked.Select(more => layout with { RowStride = layout.RowStride + more }),
        ];
        Func<TensorLayout, AttentionProblem>[] tensors =
        [
            own => _attention with { Query = own },
            own => _attention with { Key = own },
            own => _attention with { Value = own },
            own => _attention with { Output = own },
        ];
        foreach (Func<TensorLayout, AttentionProblem> with in tensors)
        {
            Assert.All(aligned, own => Assert.True(TensorCoreForwardPlan.Fits(with(own)), own.ToString()));
            Assert.All(others, own => Assert.False(TensorCoreForwardPlan.Fits(with(own)), own.ToString()));
        }
    }

    [Fact]
    public void Elements_of_16_bits_fit_and_no_others()
    {
        foreach (ElementType element in Enum.GetValues<ElementType>())
        {
            bool fits = element is ElementType.Float16 or ElementType.BFloat16;
            Assert.Equal(fits, TensorCoreForwardPlan.Fits(_attention with { Element = element }));
            Assert.Equal(fits, TensorCoreLinearPlan.Fits(_linear with { Element = element }));
        }
    }

    [Fact]
    public void Scores_are_computed_apart_and_change_nothing()
    {
        foreach (ScoreStage stage in Enum.GetValues<ScoreStage>())
            Assert.True(TensorCoreForwardPlan.Fits(_attention with { Scores = stage }));
    }

    [Theory]
    [InlineData(8, 8, true)]
    [InlineData(8, 4096, true)]
    [InlineData(8, 4, false)]
    [InlineData(4, 8, false)]
    [InlineData(17, 16, false)]
    [InlineData(16, 17, false)]
    public void Products_of_whole_pieces_fit(int columns, int depth, bool fits)
    {
        LinearProblem problem = _linear with { Columns = columns, Depth = depth, Output = MatrixMap.Contiguous(3, columns) };
        Assert.Equal(fits, TensorCoreLinearPlan.Fits(problem));
        Assert.Equal(fits, TensorCoreLinearPlan.Fits(problem with { HasBias = false }));
    }

    [Fact]
    public void What_changes_scores_or_asks_for_sums_does_not()
    {
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { Softcap = 1f }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { HasAlibi = true }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { HasSinks = true }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { HasDocuments = true }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { HasKeyPadding = true }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { Mask = default(MaskLayout) }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { Bias = default(MaskLayout) }));
        Assert.False(TensorCoreForwardPlan.Fits(_attention with { LogSumExp = TensorLayout.Contiguous(4, 5, 1) }));
    }

    [Fact]
    public void Plain_products_of_16_bits_fit()
    {
        Assert.True(TensorCoreLinearPlan.Fits(_linear));
        Assert.False(TensorCoreLinearPlan.Fits(_linear with { Element = ElementType.Float32 }));
        Assert.False(TensorCoreLinearPlan.Fits(_linear with { Depth = 20 }));
        Assert.False(TensorCoreLinearPlan.Fits(_linear with { Columns = 12, Output = MatrixMap.Contiguous(3, 12) }));
        Assert.False(TensorCoreLinearPlan.Fits(_linear with { Output = new MatrixMap(3, 0, 8, 8, 24) }));
        Assert.False(TensorCoreLinearPlan.Fits(_linear with { Output = MatrixMap.Contiguous(3, 16) with { InnerRowStride = 24 } }));
    }
}
