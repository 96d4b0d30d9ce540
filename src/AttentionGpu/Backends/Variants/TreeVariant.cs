using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>The last keys are those of the queries, which form a tree: a query sees its ancestors and itself among them.</summary>
internal sealed class TreeVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Tree;

    /// <summary>Whether the tree shows a key to a query, for memory of the host.</summary>
    public static unsafe bool IsVisible(
        in AttentionExtent extent, in AttentionBuffers buffers, in Sequence sequence, int query, int key)
    {
        int draft = key - (sequence.KeyLength - sequence.QueryLength);
        return draft < 0
            || (buffers.Ancestors.Pointer<uint>()[(long)(sequence.QueryStart + query) * extent.AncestorWords + TreeMask.WordOf(draft)]
                & TreeMask.BitOf(draft)) != 0;
    }

    public override bool Hides(in ScorePoint point) =>
        !IsVisible(point.Extent, point.Buffers, point.Sequence, point.Query, point.Key);

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) =>
                new TreeMask { Ancestors = buffers.Ancestors.View<uint>(), Words = extent.AncestorWords }),
            next);

    public override ScoreText CreateText(int kind) => new TreeText();

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new TreeArguments { Ancestors = buffers.Ancestors.DeviceAddress, Words = extent.AncestorWords });
}
