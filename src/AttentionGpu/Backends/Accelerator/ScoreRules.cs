using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Makes a range of keys from a call's sizes.</summary>
internal delegate TRange RangeBinder<TRange>(in AttentionExtent extent)
    where TRange : struct, IKeyRange;

/// <summary>Makes a variant from a call's sizes and memory.</summary>
internal delegate TVariant VariantBinder<TVariant>(in AttentionExtent extent, in AttentionBuffers buffers)
    where TVariant : struct, IScoreVariant;

/// <summary>
/// What becomes of scores: which keys a query sees by position, and the variants so far, in the order in which they change a score.
/// </summary>
internal sealed class ScoreRules<TRange, TVariant>(RangeBinder<TRange> range, VariantBinder<TVariant> variant)
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    public TRange Range(in AttentionExtent extent) => range(extent);

    public TVariant Variant(in AttentionExtent extent, in AttentionBuffers buffers) => variant(extent, buffers);

    public ScoreRules<RangePair<TRange, WindowRange>, TVariant> AddWindow()
    {
        RangeBinder<TRange> first = range;
        return new(
            (in AttentionExtent extent) => new()
            {
                First = first(extent),
                Second = new WindowRange { Left = extent.Window.Left, Right = extent.Window.Right },
            },
            variant);
    }

    /// <summary>Adds a variant after those that are there.</summary>
    public ScoreRules<TRange, VariantPair<TVariant, TNext>> Add<TNext>(VariantBinder<TNext> next)
        where TNext : struct, IScoreVariant
    {
        VariantBinder<TVariant> first = variant;
        return new(
            range,
            (in AttentionExtent extent, in AttentionBuffers buffers) =>
                new() { First = first(extent, buffers), Second = next(extent, buffers) });
    }
}
