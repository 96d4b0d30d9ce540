using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Picks the specialisation of the attention kernels: the range of keys, then the variant, then the element types and how keys and values
/// are kept, then row reduction, tile and value fragment. A signature's kernel is made of what the signature has.
/// </summary>
internal sealed class AttentionPlanner(AttentionSignature signature, KernelLoader loader)
{
    public IPlan<AttentionExtent, AttentionBuffers> Plan() => signature.Causal switch
    {
        CausalKind.None => PlanWindow(Start<AllKeys>()),
        CausalKind.Causal => PlanWindow(Start<CausalRange>()),
        CausalKind.CausalWithPrefix => PlanWindow(Start<PrefixRange>()),
        _ => throw Unknown(signature.Causal),
    };

    private static ArgumentOutOfRangeException Unknown(CausalKind kind) => new(nameof(kind), kind, "There is no such causal kind.");

    private static ScoreRules<TRange, NoVariant> Start<TRange>()
        where TRange : struct, IKeyRange =>
        new(static (in AttentionExtent _) => default, static (in AttentionExtent _, in AttentionBuffers _) => default);

    private IPlan<AttentionExtent, AttentionBuffers> PlanWindow<TRange>(ScoreRules<TRange, NoVariant> rules)
        where TRange : struct, IKeyRange =>
        signature.HasWindow ? PlanVariants(rules.AddWindow()) : PlanVariants(rules);

    /// <summary>Adds the signature's variants, from a number on, and plans the kernel.</summary>
    public IPlan<AttentionExtent, AttentionBuffers> PlanVariants<TRange, TVariant>(ScoreRules<TRange, TVariant> rules, int first = 0)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        for (int i = first; i < ScoreVariant.All.Count; i++)
        {
            if (signature.Has(ScoreVariant.All[i].Flag))
                return ScoreVariant.All[i].Plan(this, rules, i + 1);
        }

        return PlanElement(rules);
    }

    private IPlan<AttentionExtent, AttentionBuffers> PlanElement<TRange, TVariant>(ScoreRules<TRange, TVariant> rules)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        loader.Visit(signature.Element, new QueryElement<TRange, TVariant>(this, rules));

    private IPlan<AttentionExtent, AttentionBuffers> PlanKeyValues<TElement, TRange, TVariant>(ScoreRules<TRange, TVariant> rules)
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant =>
        RowBinder.Visit(signature.KeyValue, loader, new KeyValues<TElement, TRange, TVariant>(this, rules));

    private IPlan<AttentionExtent, AttentionBuffers> PlanScores<TElement, TKeyValues, TRange, TVariant>(
        IRowBinder<TKeyValues> binder, ScoreRules<TRange, TVariant> rules)
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        if (signature.Scores is not null && signature.HasSequences && signature.KeyValue.Rows == KeyValueRows.Paged)
        {
            // The product has as many columns as the longest sequence has keys, and the pages of a shorter one end before.
            throw new NotSupportedException(
                $"The device writes no scores of sequences whose keys are paged; 'Scores' is {signature.Scores} and must be left out.");
        }

        var keyValues = new KeyValueBinder<TKeyValues>(signature, binder);
        IPlan<AttentionExtent, AttentionBuffers> whole = loader.Tiles.HasTensorCores && TensorCoreForwardPlan.Fits(signature)
            ? new TensorCoreForwardPlan(signature, loader)
            : PlanGeneral<TElement, TKeyValues, TRange, TVariant>(keyValues, rules);
        IPlan<AttentionExtent, AttentionBuffers> forward = loader.Tiles switch
        {
            // A processor has few cores, and heads enough for them.
            { Processor: true } => whole,
            { Emulated: true } => new DecodePlan<Tile1x4, TElement, TKeyValues, TRange, TVariant>(
                signature, loader, keyValues, rules, whole),
            _ => new DecodePlan<Tile1x128, TElement, TKeyValues, TRange, TVariant>(signature, loader, keyValues, rules, whole),
        };
        return signature.Scores is { } stage
            ? new ScoresPlan<TElement, TKeyValues, TRange, TVariant>(signature, stage, loader, keyValues, rules, forward)
            : forward;
    }

    private IPlan<AttentionExtent, AttentionBuffers> PlanGeneral<TElement, TKeyValues, TRange, TVariant>(
        KeyValueBinder<TKeyValues> keyValues, ScoreRules<TRange, TVariant> rules)
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        if (loader.Tiles.Processor)
            return new ProcessorForwardPlan<TElement, TKeyValues, TRange, TVariant>(signature, loader, keyValues, rules);
        return loader.Tiles.UsesWarps
            ? PlanTile<WarpRowReduction, TElement, TKeyValues, TRange, TVariant>(keyValues, rules)
            : PlanTile<SharedRowReduction, TElement, TKeyValues, TRange, TVariant>(keyValues, rules);
    }

    private IPlan<AttentionExtent, AttentionBuffers> PlanTile<TReduction, TElement, TKeyValues, TRange, TVariant>(
        KeyValueBinder<TKeyValues> keyValues, ScoreRules<TRange, TVariant> rules)
        where TReduction : struct, IRowReduction
        where TElement : unmanaged, IElement<TElement>
        where TKeyValues : struct, IMatrixRows
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        const int narrowValues = 32;
        const int mediumValues = 64;
        if (loader.Tiles.Emulated)
            return PlanForward<Tile2x2, FragmentPair<FragmentPair<BlockedFragment8x4>>>();
        return signature.ValueHeadSize switch
        {
            <= narrowValues => PlanForward<Tile8x8, BlockedFragment8x4>(),
            <= mediumValues => PlanForward<Tile8x16, BlockedFragment8x4>(),
            _ => PlanForward<Tile8x16, FragmentPair<Fragment8x4>>(),
        };

        IPlan<AttentionExtent, AttentionBuffers> PlanForward<TTile, TValues>()
            where TTile : struct, ITile
            where TValues : struct, IBlockFragment =>
            new ForwardPlan<TTile, TValues, TReduction, TElement, TKeyValues, TRange, TVariant>(signature, loader, keyValues, rules);
    }

    /// <summary>Goes on with the element type of queries and outputs.</summary>
    private sealed class QueryElement<TRange, TVariant>(AttentionPlanner planner, ScoreRules<TRange, TVariant> rules)
        : IElementVisitor<IPlan<AttentionExtent, AttentionBuffers>>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        public IPlan<AttentionExtent, AttentionBuffers> Visit<TElement>()
            where TElement : unmanaged, IElement<TElement> => planner.PlanKeyValues<TElement, TRange, TVariant>(rules);
    }

    /// <summary>Goes on with the form of keys and values.</summary>
    private sealed class KeyValues<TElement, TRange, TVariant>(AttentionPlanner planner, ScoreRules<TRange, TVariant> rules)
        : IRowVisitor<IPlan<AttentionExtent, AttentionBuffers>>
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant
    {
        public IPlan<AttentionExtent, AttentionBuffers> Visit<TRows>(IRowBinder<TRows> binder)
            where TRows : struct, IStoredRows => planner.PlanScores<TElement, TRows, TRange, TVariant>(binder, rules);
    }
}
