using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>A boolean mask: true shows the key.</summary>
internal sealed class MaskVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Mask;

    public override unsafe bool Hides(in ScorePoint point) =>
        point.Buffers.Mask.Pointer<byte>()[point.Extent.Mask.Offset(point.Batch, point.Head, point.Query, point.Key)] == 0;

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new BooleanMask { Data = buffers.Mask.View<byte>(), Strides = extent.Mask }),
            next);

    public override int TextKind(in AttentionExtent extent) => extent.Mask.Key == 0 ? 1 : 0;

    public override ScoreText CreateText(int kind) => new MaskText(isSameForKeys: kind == 1);

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new MaskArguments { Data = buffers.Mask.DeviceAddress, Strides = extent.Mask });
}
