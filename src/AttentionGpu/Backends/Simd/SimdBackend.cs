using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd;

/// <summary>The host's processor, by vectors as wide as it has: the fallback on a machine without a GPU.</summary>
internal sealed class SimdBackend : HostBackend
{
    public const string Name = "simd";

    private readonly int _width;
    private readonly int _threads;

    /// <param name="width">Bits of a vector: 512, 256 or 128; null for the widest that the machine has in hardware.</param>
    /// <param name="threads">Most threads of a call; null for one a core.</param>
    public SimdBackend(int? width = null, int? threads = null)
    {
        _width = width ?? WidestVector;
        _threads = threads ?? Environment.ProcessorCount;
    }

    public static DeviceInfo Info { get; } = new()
    {
        Name = Name,
        Kind = DeviceKind.Simd,
        Description = "the host's processor",
        Multiprocessors = Environment.ProcessorCount,
        WarpSize = WidestVector / (8 * sizeof(float)),
        MaxGroupSize = 1,
        Capability = $"{WidestVector}-bit vectors",
    };

    public override DeviceInfo Device => Info;

    private static int WidestVector =>
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;

    public override IPlan<AttentionBuffers> Plan(AttentionProblem problem)
    {
        if (problem.IsEmpty)
            return new NothingPlan<AttentionBuffers>();

        // Weights are for looking into heads, not for speed.
        if (problem.Weights != WeightsKind.None)
            return new ReferenceAttentionPlan(problem);
        return _width switch
        {
            512 => new SimdAttentionPlan<Vector512<float>, Operations512>(problem, _threads),
            256 => new SimdAttentionPlan<Vector256<float>, Operations256>(problem, _threads),
            _ => new SimdAttentionPlan<Vector128<float>, Operations128>(problem, _threads),
        };
    }

    public override IPlan<LinearBuffers> Plan(LinearProblem problem)
    {
        if (problem.IsEmpty)
            return new NothingPlan<LinearBuffers>();
        return _width switch
        {
            512 => new SimdLinearPlan<Vector512<float>, Operations512>(problem, _threads),
            256 => new SimdLinearPlan<Vector256<float>, Operations256>(problem, _threads),
            _ => new SimdLinearPlan<Vector128<float>, Operations128>(problem, _threads),
        };
    }
}
