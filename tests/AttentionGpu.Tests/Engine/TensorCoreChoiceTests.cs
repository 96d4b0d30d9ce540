using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.TensorCore.Products;
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
    [InlineData(8, 8)]
    [InlineData(1, 1)]
    [InlineData(17, 4096)]
    [InlineData(16, 17)]
    public void Products_of_any_size_fit(int columns, int depth)
    {
        LinearSignature signature = _linear with { Columns = columns, Depth = depth };
        Assert.True(TensorCoreLinearPlan.Fits(signature));
        Assert.True(TensorCoreLinearPlan.Fits(signature with { HasBias = false }));
        Assert.True(TensorCoreLinearPlan.Fits(signature with { BatchInvariant = true }));
        Assert.False(TensorCoreLinearPlan.Fits(signature with { IsWeightPanelled = true }));
    }

    [Theory]
    [InlineData(1, 4096, 16)]
    [InlineData(16, 4096, 16)]
    [InlineData(17, 4096, 64)]
    [InlineData(64, 1 << 20, 64)]
    [InlineData(65, 4096, 64)]
    [InlineData(512, 3072, 64)]
    [InlineData(512, 3200, 128)]
    [InlineData(65, 1 << 20, 128)]
    [InlineData(int.MaxValue, 1, 128)]
    public void Large_tiles_of_products_have_many_rows_and_keep_the_device_busy(int rows, int columns, int tileRows) =>
        Assert.Equal(tileRows, ProductTile.For(rows, columns, busyGroups: 100).Rows);

    private static AttentionSignature OfType(ElementType element) =>
        _signature with { Element = element, KeyValue = new KeyValueForm(element) };
}
