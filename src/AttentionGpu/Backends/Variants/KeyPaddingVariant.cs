using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>A byte for each key of a batch entry: anything but 0 marks padding.</summary>
internal sealed class KeyPaddingVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.KeyPadding;

    public override unsafe bool Hides(in ScorePoint point) =>
        point.Buffers.KeyPadding.Pointer<byte>()[(long)point.Batch * point.Extent.KeyLength + point.Key] != 0;

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new KeyPaddingMask { Data = buffers.KeyPadding.View<byte>(), Pitch = extent.KeyLength }),
            next);

    public override ScoreText CreateText(int kind) => new KeyPaddingText();

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new KeyPaddingArguments { Data = buffers.KeyPadding.DeviceAddress, Pitch = extent.KeyLength });
}
