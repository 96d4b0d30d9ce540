using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>Scores s become <c>c * tanh(s / c)</c>.</summary>
internal sealed class SoftcapVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Softcap;

    public override double Change(double score, in ScorePoint point) => point.Extent.Softcap * Math.Tanh(score / point.Extent.Softcap);

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) =>
        planner.PlanVariants(rules.Add((in AttentionExtent extent, in AttentionBuffers _) => new Softcap { Cap = extent.Softcap }), next);

    public override int TextKind(in AttentionExtent extent) => extent.Softcap > SoftcapText.LargestCap ? 1 : 0;

    public override ScoreText CreateText(int kind) => new SoftcapText(isExact: kind == 1);

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new SoftcapArguments { Cap = extent.Softcap });
}
