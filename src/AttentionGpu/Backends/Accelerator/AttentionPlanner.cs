using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Reductions;
using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Makes a problem's mask from the memory it runs on.</summary>
internal delegate TMask MaskBinder<TMask>(in AttentionBuffers buffers)
    where TMask : struct, IAttentionMask;

/// <summary>
/// Picks the specialisation of the attention kernels: first the mask's type, one part after the other, then tile, value fragment and
/// row reduction.
/// </summary>
internal static class AttentionPlanner
{
    public static IPlan<AttentionBuffers> Plan(AttentionProblem problem, IAttentionBackend backend, KernelLoader loader)
    {
        if (problem.IsEmpty)
            return new NothingPlan<AttentionBuffers>();
        return problem.CausalOffset is int offset
            ? PlanMask(problem, backend, loader, (in AttentionBuffers _) => new CausalMask { Offset = offset })
            : PlanMask(problem, backend, loader, (in AttentionBuffers _) => default(NoMask));
    }

    private static IPlan<AttentionBuffers> PlanMask<TPosition>(
        AttentionProblem problem, IAttentionBackend backend, KernelLoader loader, MaskBinder<TPosition> position)
        where TPosition : struct, IAttentionMask
    {
        var strides = new MaskStrides
        {
            Batch = problem.Mask.Batch,
            Head = problem.Mask.Head,
            Query = problem.Mask.Query,
            Key = problem.Mask.Key,
        };
        return problem.Mask.Kind switch
        {
            MaskKind.None => PlanPadding(problem, backend, loader, position, (in AttentionBuffers _) => default(NoMask)),
            MaskKind.Boolean => PlanPadding(problem, backend, loader, position, (in AttentionBuffers buffers) =>
                new BooleanMask { Data = buffers.Mask.View<byte>(), Strides = strides }),
            _ => PlanPadding(problem, backend, loader, position, (in AttentionBuffers buffers) =>
                new AdditiveMask { Data = buffers.Mask.View<float>(), Strides = strides }),
        };
    }

    private static IPlan<AttentionBuffers> PlanPadding<TPosition, TMask>(
        AttentionProblem problem, IAttentionBackend backend, KernelLoader loader,
        MaskBinder<TPosition> position, MaskBinder<TMask> mask)
        where TPosition : struct, IAttentionMask
        where TMask : struct, IAttentionMask
    {
        int keyLength = problem.KeyLength;
        return problem.HasKeyPadding
            ? PlanKernel(problem, backend, loader, (in AttentionBuffers buffers) => Join(
                position(buffers), mask(buffers), new KeyPaddingMask { Data = buffers.KeyPadding.View<byte>(), KeyLength = keyLength }))
            : PlanKernel(problem, backend, loader, (in AttentionBuffers buffers) => Join(
                position(buffers), mask(buffers), default(NoMask)));
    }

    private static MaskPair<TPosition, MaskPair<TMask, TPadding>> Join<TPosition, TMask, TPadding>(
        TPosition position, TMask mask, TPadding padding)
        where TPosition : struct, IAttentionMask
        where TMask : struct, IAttentionMask
        where TPadding : struct, IAttentionMask =>
        new() { First = position, Second = new() { First = mask, Second = padding } };

    private static IPlan<AttentionBuffers> PlanKernel<TMask>(
        AttentionProblem problem, IAttentionBackend backend, KernelLoader loader, MaskBinder<TMask> mask)
        where TMask : struct, IAttentionMask
    {
        if (problem.Weights != WeightsKind.None)
            return new WeightsPlan<TMask>(problem, backend, loader, mask);
        return loader.Tiles.UsesWarps
            ? PlanTile<WarpRowReduction, TMask>(problem, loader, mask)
            : PlanTile<SharedRowReduction, TMask>(problem, loader, mask);
    }

    private static IPlan<AttentionBuffers> PlanTile<TReduction, TMask>(
        AttentionProblem problem, KernelLoader loader, MaskBinder<TMask> mask)
        where TReduction : struct, IRowReduction
        where TMask : struct, IAttentionMask
    {
        if (loader.Tiles.Emulated)
        {
            return new ForwardPlan<Tile2x2, FragmentPair<FragmentPair<Fragment8x4>>, TReduction, TMask>(problem, loader, mask);
        }

        const int narrowValues = 32;
        const int mediumValues = 64;
        return problem.ValueHeadSize switch
        {
            <= narrowValues => new ForwardPlan<Tile8x8, Fragment8x4, TReduction, TMask>(problem, loader, mask),
            <= mediumValues => new ForwardPlan<Tile8x16, Fragment8x4, TReduction, TMask>(problem, loader, mask),
            _ => new ForwardPlan<Tile8x16, FragmentPair<Fragment8x4>, TReduction, TMask>(problem, loader, mask),
        };
    }
}
