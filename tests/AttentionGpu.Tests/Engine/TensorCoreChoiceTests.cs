using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>Which problems go to tensor cores, where there are such.</summary>
public class TensorCoreChoiceTests
{
    private static readonly ContiguousProblem _attention =
        ContiguousProblem.Attention(batch: 2, heads: 4, keyValueHeads: 2, queries: 5, keys: 7, headSize: 64, valueSize: 128);

    private static readonly AttentionSignature _signature =
        _attention.Signature with { Element = ElementType.Float16, KeyValue = new KeyValueForm(ElementType.Float16) };

    private static readonly LinearSignature _linear = new() { Columns = 16, Depth = 24, HasBias = true, Element = ElementType.BFloat16 };

    private static readonly HeadLayout _plain = new() { InnerRows = 3, InnerRowStride = 16, HeadSize = 16 };

    private static readonly HeadLayout _split =
        new() { InnerRows = 1, OuterRowStride = 16, InnerRowStride = 8, HeadSize = 8, HeadStride = 48 };

    public static TheoryData<string> Unknown => [.. _unknown.Keys];

    private static readonly Dictionary<string, AttentionSignature> _unknown = new()
    {
        ["softcap"] = _signature with { Variants = ScoreVariants.Softcap },
        ["ALiBi"] = _signature with { Variants = ScoreVariants.Alibi },
        ["bias by distance"] = _signature with { Variants = ScoreVariants.DistanceBias },
        ["sinks"] = _signature with { HasSinks = true },
        ["documents"] = _signature with { Variants = ScoreVariants.Documents },
        ["key padding"] = _signature with { Variants = ScoreVariants.KeyPadding },
        ["mask"] = _signature with { Variants = ScoreVariants.Mask },
        ["bias"] = _signature with { Variants = ScoreVariants.Bias },
        ["logarithms of sums"] = _signature with { HasLogSumExp = true },
        ["keys of another type"] = _signature with { KeyValue = new KeyValueForm(ElementType.BFloat16) },
        ["rows of another kind"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, (KeyValueRows)77) },
        ["pages"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, KeyValueRows.Paged) },
        ["latent values"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, IsLatent: true) },
        ["quantised keys"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Int8) },
    };

    [Fact]
    public void Attention_in_pieces_of_16_bytes_fits()
    {
        Assert.True(TensorCoreForwardPlan.Fits(_signature));
        Assert.True(TensorCoreForwardPlan.Fits(_attention.Extent));
        Assert.True(TensorCoreForwardPlan.Fits(_signature with { BatchInvariant = true }));
        Assert.True(TensorCoreForwardPlan.Fits(
            OfType(ElementType.BFloat16) with { Causal = CausalKind.Causal, HasWindow = true, HasSequences = true, GroupSize = 7 }));
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
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_signature with { HeadSize = size }));
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_signature with { ValueHeadSize = size }));
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
        for (int tensor = 0; tensor < 4; tensor++)
        {
            Assert.All(aligned, own => Assert.True(TensorCoreForwardPlan.Fits(With(tensor, own)), own.ToString()));
            Assert.All(others, own => Assert.False(TensorCoreForwardPlan.Fits(With(tensor, own)), own.ToString()));
        }

        static AttentionExtent With(int tensor, TensorLayout own)
        {
            AttentionExtent extent = _attention.Extent;
            return new AttentionExtent
            {
                Batch = extent.Batch,
                Heads = extent.Heads,
                KeyValueHeads = extent.KeyValueHeads,
                Scale = extent.Scale,
                Sequence = extent.Sequence,
                Query = tensor == 0 ? own : extent.Query,
                Key = tensor == 1 ? own : extent.Key,
                Value = tensor == 2 ? own : extent.Value,
                Output = tensor == 3 ? own : extent.Output,
            };
        }
    }

    [Fact]
    public void Elements_of_16_bits_fit_and_no_others()
    {
        foreach (ElementType element in Enum.GetValues<ElementType>())
        {
            bool fits = element is ElementType.Float16 or ElementType.BFloat16;
            Assert.Equal(fits, TensorCoreForwardPlan.Fits(OfType(element)));
            Assert.Equal(fits, TensorCoreLinearPlan.Fits(_linear with { Element = element }));
        }
    }

    [Fact]
    public void Scores_are_computed_apart_and_change_nothing()
    {
        foreach (ScoreStage stage in Enum.GetValues<ScoreStage>())
            Assert.True(TensorCoreForwardPlan.Fits(_signature with { Scores = stage }));
    }

    [Theory]
    [MemberData(nameof(Unknown))]
    public void What_the_kernel_does_not_know_does_not_fit(string feature) => Assert.False(TensorCoreForwardPlan.Fits(_unknown[feature]));

    [Theory]
    [InlineData(8, 8, true)]
    [InlineData(8, 4096, true)]
    [InlineData(8, 4, false)]
    [InlineData(4, 8, false)]
    [InlineData(17, 16, false)]
    [InlineData(16, 17, false)]
    public void Products_of_whole_pieces_fit(int columns, int depth, bool fits)
    {
        LinearSignature signature = _linear with { Columns = columns, Depth = depth };
        Assert.Equal(fits, TensorCoreLinearPlan.Fits(signature));
        Assert.Equal(fits, TensorCoreLinearPlan.Fits(signature with { HasBias = false }));
        Assert.Equal(fits, TensorCoreLinearPlan.Fits(signature with { BatchInvariant = true }));
        Assert.False(TensorCoreLinearPlan.Fits(signature with { IsWeightPanelled = true }));
    }

    [Fact]
    public void Plain_and_split_outputs_of_whole_pieces_fit()
    {
        Assert.True(Fits(_plain));
        Assert.True(Fits(_plain with { InnerRowStride = 24 }));
        Assert.False(Fits(_plain with { InnerRowStride = 20 }));

        // A plain output has no other stride.
        Assert.True(Fits(_plain with { OuterRowStride = 1, HeadStride = 1, HeadSize = 17 }));
        Assert.True(Fits(_split));
        Assert.False(Fits(_split with { OuterRowStride = 20 }));
        Assert.False(Fits(_split with { InnerRowStride = 12 }));
        Assert.False(Fits(_split with { HeadStride = 52 }));
        Assert.False(Fits(_split with { HeadSize = 4 }));

        static bool Fits(HeadLayout output) => TensorCoreLinearPlan.Fits(_linear, new LinearExtent { Rows = 3, Output = output });
    }

    private static AttentionSignature OfType(ElementType element) =>
        _signature with { Element = element, KeyValue = new KeyValueForm(element) };
}
