using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>Each head has a number for each distance between the query and the key.</summary>
internal sealed class DistanceBiasVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.DistanceBias;

    public override unsafe double Change(double score, in ScorePoint point)
    {
        int reach = point.Extent.DistanceReach;
        long distance = Math.Clamp(point.Key - ((long)point.Query + point.Sequence.DistanceOffset), -reach, reach);
        return score + point.Buffers.DistanceBias.Pointer<float>()[point.Head * (2L * reach + 1) + reach + distance];
    }

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new DistanceBias { Data = buffers.DistanceBias.View<float>(), Reach = extent.DistanceReach }),
            next);

    public override ScoreText CreateText(int kind) => new DistanceBiasText();

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new DistanceBiasArguments { Data = buffers.DistanceBias.DeviceAddress, Reach = extent.DistanceReach });
}
