using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Plain loops in float64 on the caller's thread: the yardstick that every other backend is tested against.</summary>
internal sealed class ReferenceBackend(long memoryLimit = long.MaxValue) : HostBackend(memoryLimit)
{
    public static DeviceInfo Info { get; } = new()
    {
        Name = "reference",
        Kind = DeviceKind.Reference,
        Description = "float64, plain loops, one thread",
        Multiprocessors = 1,
        WarpSize = 1,
        MaxGroupSize = 1,
    };

    public override DeviceInfo Device => Info;

    public override IPlan<AttentionBuffers> Plan(AttentionProblem problem) => new ReferenceAttentionPlan(problem);

    public override IPlan<LinearBuffers> Plan(LinearProblem problem) => new ReferenceLinearPlan(problem);

    public override IPlan<HeadTransformBuffers> Plan(HeadTransform problem) => new ReferenceHeadTransformPlan(problem);
}
