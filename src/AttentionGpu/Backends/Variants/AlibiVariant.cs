using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>Each step between the query and the key costs the head's slope.</summary>
internal sealed class AlibiVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Alibi;

    public override unsafe double Change(double score, in ScorePoint point)
    {
        double distance = Math.Abs((double)point.Query + point.Sequence.DistanceOffset - point.Key);
        return score - point.Buffers.AlibiSlopes.Pointer<float>()[point.Batch * point.Extent.AlibiBatchStride + point.Head] * distance;
    }

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new Alibi { Slopes = buffers.AlibiSlopes.View<float>(), BatchStride = extent.AlibiBatchStride }),
            next);

    public override ScoreText CreateText(int kind) => new AlibiText();

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new AlibiArguments { Slopes = buffers.AlibiSlopes.DeviceAddress, BatchStride = extent.AlibiBatchStride });
}
