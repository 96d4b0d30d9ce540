using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Picks the specialisation of the attention kernels: the range of keys, then the variant, then element type, row reduction, tile and value
/// fragment. A problem's kernel is made of what the problem has.
/// </summary>
internal sealed class AttentionPlanner(AttentionProblem problem, IAttentionBackend backend, KernelLoader loader)
{
    public IPlan<AttentionBuffers> Plan()
    {
        if (problem.IsEmpty)
            return new NothingPlan<AttentionBuffers>();
        return problem.Causal switch
        {
            CausalKind.None => PlanWindow(default(AllKeys)),
            CausalKind.Causal => PlanWindow(default(CausalRange)),
            _ => PlanWindow(default(PrefixRange)),
        };
    }

    private IPlan<AttentionBuffers> PlanWindow<TRange>(TRange range)
        where TRange : struct, IKeyRange
    {
        if (problem.Window is not { } window)
            return PlanVariant(range, new VariantChain<NoVariant>(problem, (in AttentionBuffers _) => default));
        var windowRange = new WindowRange { Left = window.Left, Right = window.Right };
        return PlanVariant(
            new RangePair<TRange, WindowRange> { First = range, Second = windowRange },
            new VariantChain<NoVariant>(problem, (in AttentionBuffers _) => default));
    }

    private IPlan<AttentionBuffers> PlanVariant<TRange>(TRange range, VariantChain<NoVariant> chain)
        where TRange : struct, IKeyRange =>
        problem.Softcap != 0f ? PlanAlibi(range, chain.AddSoftcap()) : PlanAlibi(range, chain);

    private IPlan<AttentionBuffers> PlanAlibi<TRange, TVariant>(TRange range, VariantChain<TVariant> chain)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        problem.HasAlibi ? PlanBias(range, chain.AddAlibi()) : PlanBias(range, chain);

    private IPlan<AttentionBuffers> PlanBias<TRange, TVariant>(TRange range, VariantChain<TVariant> chain)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        problem.Bias is not null ? PlanMask(range, chain.AddBias()) : PlanMask(range, chain);

    private IPlan<AttentionBuffers> PlanMask<TRange, TVariant>(TRange range, VariantChain<TVariant> chain)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        problem.Mask is not null ? PlanDocuments(range, chain.AddMask()) : PlanDocuments(range, chain);

    private IPlan<AttentionBuffers> PlanDocuments<TRange, TVariant>(TRange range, VariantChain<TVariant> chain)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        problem.HasDocuments ? PlanPadding(range, chain.AddDocuments()) : PlanPadding(range, chain);

    private IPlan<AttentionBuffers> PlanPadding<TRange, TVariant>(TRange range, VariantChain<TVariant> chain)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        problem.HasKeyPadding ? PlanElement(range, chain.AddKeyPadding().Bind) : PlanElement(range, chain.Bind);

    private IPlan<AttentionBuffers> PlanElement<TRange, TVariant>(TRange range, VariantBinder<TVariant> variant)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant => problem.Element switch
        {
            ElementType.Float32 => PlanScores<SingleElement, TRange, TVariant>(range, variant),
            ElementType.Float16 => PlanScores<HalfElement, TRange, TVariant>(range, variant),
            _ => PlanScores<BFloat16Element, TRange, TVariant>(range, variant),
        };

    private IPlan<AttentionBuffers> PlanScores<TElement, TRange, TVariant>(TRange range, VariantBinder<TVariant> variant)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        IPlan<AttentionBuffers> forward = loader.Tiles.HasTensorCores && TensorCoreForwardPlan.Fits(problem)
            ? TensorCoreForwardPlan.Create(problem, loader, range, () => PlanGeneral<TElement, TRange, TVariant>(range, variant))
            : PlanGeneral<TElement, TRange, TVariant>(range, variant);
        return problem.Scores is { } stage
            ? new ScoresPlan<TElement, TRange, TVariant>(problem, stage, backend, loader, range, variant, forward)
            : forward;
    }

    private IPlan<AttentionBuffers> PlanGeneral<TElement, TRange, TVariant>(TRange range, VariantBinder<TVariant> variant)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        if (loader.Tiles.Processor)
            return new ProcessorForwardPlan<TElement, TRange, TVariant>(problem, backend, loader, range, variant);
        return loader.Tiles.UsesWarps
            ? PlanTile<WarpRowReduction, TElement, TRange, TVariant>(range, variant)
            : PlanTile<SharedRowReduction, TElement, TRange, TVariant>(range, variant);
    }

    private IPlan<AttentionBuffers> PlanTile<TReduction, TElement, TRange, TVariant>(TRange range, VariantBinder<TVariant> variant)
        where TReduction : struct, IRowReduction
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        if (loader.Tiles.Emulated)
            return PlanForward<Tile2x2, FragmentPair<FragmentPair<Fragment8x4>>, TReduction, TElement, TRange, TVariant>(range, variant);

        const int narrowValues = 32;
        const int mediumValues = 64;
        return problem.ValueHeadSize switch
        {
            <= narrowValues => PlanForward<Tile8x8, Fragment8x4, TReduction, TElement, TRange, TVariant>(range, variant),
            <= mediumValues => PlanForward<Tile8x16, Fragment8x4, TReduction, TElement, TRange, TVariant>(range, variant),
            _ => PlanForward<Tile8x16, FragmentPair<Fragment8x4>, TReduction, TElement, TRange, TVariant>(range, variant),
        };
    }

    private ForwardPlan<TTile, TValues, TReduction, TElement, TRange, TVariant>
        PlanForward<TTile, TValues, TReduction, TElement, TRange, TVariant>(TRange range, VariantBinder<TVariant> variant)
        where TTile : struct, ITile
        where TValues : struct, IFragment
        where TReduction : struct, IRowReduction
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        new(problem, loader, range, variant);
}
