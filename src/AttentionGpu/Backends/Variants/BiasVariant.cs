using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>An additive mask; -inf hides the key, whatever its score.</summary>
internal sealed class BiasVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Bias;

    public override bool Hides(in ScorePoint point) => float.IsNegativeInfinity(Bias(point));

    public override double Change(double score, in ScorePoint point) => score + Bias(point);

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new AdditiveBias { Data = buffers.Bias.View<float>(), Strides = extent.Bias }),
            next);

    public override int TextKind(in AttentionExtent extent) => extent.Bias.Key == 0 ? 1 : 0;

    public override ScoreText CreateText(int kind) => new BiasText(isSameForKeys: kind == 1);

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new MaskArguments { Data = buffers.Bias.DeviceAddress, Strides = extent.Bias });

    private static unsafe float Bias(in ScorePoint point) =>
        point.Buffers.Bias.Pointer<float>()[point.Extent.Bias.Offset(point.Batch, point.Head, point.Query, point.Key)];
}
