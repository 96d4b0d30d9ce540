using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Attention.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>A query sees the keys with its own document number.</summary>
internal sealed class DocumentVariant : ScoreVariant
{
    public override ScoreVariants Flag => ScoreVariants.Documents;

    public override unsafe bool Hides(in ScorePoint point) =>
        point.Buffers.QueryDocuments.Pointer<int>()[(long)point.Batch * point.Extent.QueryLength + point.Query]
        != point.Buffers.KeyDocuments.Pointer<int>()[(long)point.Batch * point.Extent.KeyLength + point.Key];

    public override IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next) => planner.PlanVariants(
            rules.Add((in AttentionExtent extent, in AttentionBuffers buffers) => new DocumentMask
            {
                Queries = buffers.QueryDocuments.View<int>(),
                Keys = buffers.KeyDocuments.View<int>(),
                QueryPitch = extent.QueryLength,
                KeyPitch = extent.KeyLength,
            }),
            next);

    public override ScoreText CreateText(int kind) => new DocumentText();

    public override void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers) =>
        arguments.Add(new DocumentArguments
        {
            Queries = buffers.QueryDocuments.DeviceAddress,
            Keys = buffers.KeyDocuments.DeviceAddress,
            QueryPitch = extent.QueryLength,
            KeyPitch = extent.KeyLength,
        });
}
