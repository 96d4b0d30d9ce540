using AttentionGpu.Backends.Host;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Plain loops in float64 on the caller's thread: the yardstick that every other backend is tested against.</summary>
internal sealed class ReferenceBackend : HostBackend
{
    public ReferenceBackend(long memoryLimit = long.MaxValue)
        : base(Info, memoryLimit)
    {
        Table.Add<AttentionSignature, AttentionExtent, AttentionBuffers>(signature => new ReferenceAttentionPlan(signature))
            .Add<LinearSignature, LinearExtent, LinearBuffers>(signature => new ReferenceLinearPlan(signature))
            .Add<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(signature => new ReferenceHeadTransformPlan(signature))
            .Add<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(signature => new ReferenceExtraKeysPlan(signature))
            .Add<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(signature => new ReferenceMergeStatesPlan(signature));
    }

    public static DeviceInfo Info { get; } = new()
    {
        Name = "reference",
        Kind = DeviceKind.Reference,
        Description = "float64, plain loops, one thread",
        Multiprocessors = 1,
        WarpSize = 1,
        MaxGroupSize = 1,
    };
}
