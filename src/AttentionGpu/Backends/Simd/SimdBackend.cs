using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Linear;
using AttentionGpu.Backends.Simd.Rows;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Memory;
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
    /// <param name="memoryLimit">Bytes of tensors, parameters and what lies between a call's steps.</param>
    public SimdBackend(int? width = null, int? threads = null, long memoryLimit = long.MaxValue)
        : base(memoryLimit)
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

    public override int WeightPanelRows => _width switch
    {
        512 => RegisterTile<Vector512<float>, Operations512>.Lanes,
        256 => RegisterTile<Vector256<float>, Operations256>.Lanes,
        _ => RegisterTile<Vector128<float>, Operations128>.Lanes,
    };

    public override IPlan<AttentionBuffers> Plan(AttentionProblem problem) => _width switch
    {
        512 => Plan<Vector512<float>, Operations512>(problem),
        256 => Plan<Vector256<float>, Operations256>(problem),
        _ => Plan<Vector128<float>, Operations128>(problem),
    };

    public override IPlan<LinearBuffers> Plan(LinearProblem problem)
    {
        if (problem.IsEmpty)
            return new NothingPlan<LinearBuffers>();
        if (problem.Element != ElementType.Float32)
            return new ConvertedLinearPlan(problem, this);
        return _width switch
        {
            512 => new SimdLinearPlan<Vector512<float>, Operations512>(problem, _threads),
            256 => new SimdLinearPlan<Vector256<float>, Operations256>(problem, _threads),
            _ => new SimdLinearPlan<Vector128<float>, Operations128>(problem, _threads),
        };
    }

    public override IPlan<HeadTransformBuffers> Plan(HeadTransform problem) =>
        problem.IsEmpty ? new NothingPlan<HeadTransformBuffers>() : new SimdHeadTransformPlan(problem, _threads);

    /// <summary>Transposes the weight in panels: [rows / lanes][depth][lanes].</summary>
    public override unsafe void PanelWeight(DeviceMemory weight, int rows, int depth)
    {
        int lanes = WeightPanelRows;
        DeviceMemory copy = Rent((long)lanes * depth * sizeof(float));
        float** pointers = stackalloc float*[lanes];
        for (int first = 0; first < rows; first += lanes)
        {
            DeviceMemory panel = weight.Slice<float>((long)first * depth, (long)lanes * depth);
            for (int lane = 0; lane < lanes; lane++)
                pointers[lane] = copy.Pointer<float>() + (long)lane * depth;
            Buffer.MemoryCopy(panel.Pointer<float>(), copy.Pointer<float>(), panel.ByteLength, panel.ByteLength);
            Panel.Pack(panel.Pointer<float>(), lanes, pointers, lanes, depth, 1f);
        }

        Return(copy);
    }

    private IPlan<AttentionBuffers> Plan<TVector, TOperations>(AttentionProblem problem)
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector> =>
        problem.IsEmpty ? new NothingPlan<AttentionBuffers>()
        : problem.Scores is null ? new SimdAttentionPlan<TVector, TOperations>(problem, _threads)
        : new SimdScoresPlan<TVector, TOperations>(problem, _threads);
}
