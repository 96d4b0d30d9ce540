using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
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
        ["keys of another type"] = _signature with { KeyValue = new KeyValueForm(ElementType.BFloat16) },
        ["rows of another kind"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, (KeyValueRows)77) },
        ["pages"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, KeyValueRows.Paged) },
        ["latent values"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Float16, IsLatent: true) },
        ["quantised keys"] = _signature with { KeyValue = new KeyValueForm(KeyValueElement.Int8) },
    };

    [Fact]
    public void All_attention_of_16_bits_that_the_operator_has_fits()
    {
        const int variants = 1 << 9;
        Assert.Equal(variants - 1, (int)Enum.GetValues<ScoreVariants>().Aggregate((all, one) => all | one));
        foreach (ElementType element in new[] { ElementType.Float16, ElementType.BFloat16 })
        {
            foreach (CausalKind causal in Enum.GetValues<CausalKind>())
            {
                for (int i = 0; i < variants << 4; i++)
                {
                    Assert.True(TensorCoreForwardPlan.Fits(OfType(element) with
                    {
                        Causal = causal,
                        Variants = (ScoreVariants)(i % variants),
                        HasWindow = (i & variants) != 0,
                        HasSinks = (i & (variants << 1)) != 0,
                        HasSequences = (i & (variants << 2)) != 0,
                        HasLogSumExp = (i & (variants << 3)) != 0,
                        HeadSize = 1 + i % 256,
                        ValueHeadSize = 256 - i % 256,
                        GroupSize = 1 + i % 7,
                        BatchInvariant = i % 3 == 0,
                    }));
                }
            }
        }
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(7, true)]
    [InlineData(256, true)]
    [InlineData(257, false)]
    public void Heads_of_up_to_256_elements_fit(int size, bool fits)
    {
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_signature with { HeadSize = size }));
        Assert.Equal(fits, TensorCoreForwardPlan.Fits(_signature with { ValueHeadSize = size }));
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
