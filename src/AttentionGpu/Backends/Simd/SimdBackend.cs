using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Heads;
using AttentionGpu.Backends.Simd.Linear;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd;

/// <summary>The host's processor, by vectors as wide as it has: the fallback on a machine without a GPU.</summary>
internal sealed class SimdBackend : HostBackend
{
    public const string Name = "simd";

    private readonly int _threads;
    private readonly int _lanes;

    /// <param name="width">Bits of a vector: 512, 256 or 128; null for the widest that the machine has in hardware.</param>
    /// <param name="threads">Most threads of a call; null for one a core.</param>
    /// <param name="memoryLimit">Bytes of tensors, parameters and memory between a call's steps.</param>
    public SimdBackend(int? width = null, int? threads = null, long memoryLimit = long.MaxValue)
        : base(Info, memoryLimit)
    {
        _threads = threads ?? Environment.ProcessorCount;
        _lanes = (width ?? WidestVector) switch
        {
            512 => AddOperators<Vector512<float>, Operations512>(),
            256 => AddOperators<Vector256<float>, Operations256>(),
            128 => AddOperators<Vector128<float>, Operations128>(),
            _ => throw new ArgumentOutOfRangeException(nameof(width), width, "A vector has 512, 256 or 128 bits."),
        };
        Table.Add<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(
                signature => new SimdHeadTransformPlan(signature, _threads))
            .Add<ExtraKeysSignature, ExtraKeysExtent, ExtraKeysBuffers>(signature => new SimdExtraKeysPlan(signature, _threads))
            .Add<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(signature => new SimdMergeStatesPlan(signature, _threads))
            .Add<PanelSignature, PanelExtent, PanelBuffers>(signature => new SimdPanelPlan(signature, _lanes, _threads));
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

    private static int WidestVector =>
        Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;

    /// <summary>Rows of a panel: columns that a register tile has in its lanes, whatever the element.</summary>
    public override int PanelRows(ElementType element)
    {
        _ = element.Size();
        return _lanes;
    }

    // Returns the lanes of a panel.
    private int AddOperators<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        Table.Add<AttentionSignature, AttentionExtent, AttentionBuffers>(signature => signature.Scores is null
                ? new SimdAttentionPlan<TVector, TOperations>(signature, _threads)
                : new SimdScoresPlan<TVector, TOperations>(signature, _threads))
            .Add<LinearSignature, LinearExtent, LinearBuffers>(signature => new SimdLinearPlan<TVector, TOperations>(signature, _threads));
        return RegisterTile<TVector, TOperations>.Lanes;
    }
}
