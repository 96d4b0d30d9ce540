using System.Reflection;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Matmul;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU.Runtime;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The kernels that a CUDA device gets, and what the planner chooses among for them.</summary>
internal static class PtxKernels
{
    public static MethodInfo Attention { get; } = typeof(AttentionKernel).GetMethod(nameof(AttentionKernel.Forward))!;

    public static MethodInfo Matmul { get; } = typeof(MatmulKernel).GetMethod(nameof(MatmulKernel.Multiply))!;

    /// <summary>The limits that the planner gives a kernel.</summary>
    public static KernelSpecialization Specialization(MethodInfo kernel, Type[] arguments) =>
        kernel == Attention ? AttentionKernel.Specialization(Threads(arguments[0]))
        : kernel == Matmul ? MatmulKernel.Specialization(Threads(arguments[0]))
        : KernelSpecialization.Empty;

    private static int Threads(Type tile) =>
        (int)typeof(ThreadPosition<>).MakeGenericType(tile).GetProperty(nameof(ThreadPosition<Tile1x1>.Threads))!.GetValue(null)!;

    public static (Type Tile, Type Values)[] AttentionTiles { get; } =
    [
        (typeof(Tile8x8), typeof(BlockedFragment8x4)), (typeof(Tile8x16), typeof(BlockedFragment8x4)),
        (typeof(Tile8x16), typeof(FragmentPair<Fragment8x4>)),
    ];

    public static Type[] MatmulTiles { get; } = [typeof(Tile16x16), typeof(Tile8x8)];

    /// <summary>Rows of an element type, as keys, values and operands are read.</summary>
    public static Type Rows(Type element) => typeof(ContiguousRows<>).MakeGenericType(element);

    public static Type[] Elements { get; } = [typeof(SingleElement), typeof(NativeHalfElement), typeof(BFloat16Element)];

    public static Type[] Ranges { get; } =
    [
        typeof(AllKeys), typeof(CausalRange), typeof(PrefixRange), typeof(RangePair<AllKeys, WindowRange>),
        typeof(RangePair<CausalRange, WindowRange>), typeof(RangePair<PrefixRange, WindowRange>),
    ];
}
