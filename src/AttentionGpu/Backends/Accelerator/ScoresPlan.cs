using System.Runtime.CompilerServices;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Attention whose scores are asked for: the fused kernel for the output, then the scores once more as a batch of products, and what
/// becomes of them up to the stage that is wanted. The scores' workspace lies where that of the output was.
/// </summary>
internal sealed class ScoresPlan<TElement, TKeyValues, TRange, TVariant> : IPlan<AttentionExtent, AttentionBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TKeyValues : struct, IMatrixRows
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private const int RowThreads = 128;

    private readonly AttentionSignature _signature;
    private readonly ScoreStage _stage;
    private readonly KernelLoader _loader;
    private readonly KeyValueBinder<TKeyValues> _keyValues;
    private readonly ScoreRules<TRange, TVariant> _rules;
    private readonly IPlan<AttentionExtent, AttentionBuffers> _forward;
    private readonly IMatmulLaunch<ContiguousRows<TElement>, TKeyValues, SingleElement, RowLayout, ScaleEpilogue> _products;
    private readonly ScoreStore? _store;
    private readonly Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<SingleElement>, ArrayView<Sequence>,
        ArrayView<float>, TRange, TVariant>? _softmax;

    public ScoresPlan(
        AttentionSignature signature, ScoreStage stage, KernelLoader loader, KeyValueBinder<TKeyValues> keyValues,
        ScoreRules<TRange, TVariant> rules, IPlan<AttentionExtent, AttentionBuffers> forward)
    {
        _signature = signature;
        _stage = stage;
        _loader = loader;
        _keyValues = keyValues;
        _rules = rules;
        _forward = forward;
        _products = MatmulLaunch.Create<ContiguousRows<TElement>, TKeyValues, SingleElement, RowLayout, ScaleEpilogue>(
            loader, signature.BatchInvariant);
        if (stage is ScoreStage.Weights or ScoreStage.AverageWeights)
        {
            _softmax = loader.Load<Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<SingleElement>, ArrayView<Sequence>,
                ArrayView<float>, TRange, TVariant>>(MaskedSoftmaxKernel.Normalize<TRange, TVariant>);
        }

        _store = PlanStore();
    }

    private delegate void ScoreStore(
        in AttentionExtent extent, SoftmaxArguments shape, DeviceMemory scores, in AttentionBuffers buffers, AttentionTables tables);

    private bool IsSingle => _signature.Element == ElementType.Float32;

    // Where the scores that are asked for are float32 and as many, they are computed in place.
    private bool IsInPlace => IsSingle && _stage != ScoreStage.AverageWeights;

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        long forward = _forward.WorkspaceBytes(extent);
        if (extent.KeyLength == 0)
            return forward;
        SoftmaxGroups(extent);
        Rows(extent).Groups(RowCount(extent));
        return Math.Max(forward, Workspace.Aligned(ScoreBytes(extent)) + _products.WorkspaceBytes(Sizes(extent), Matrices(extent)));
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        _forward.Execute(extent, buffers, workspace);
        if (extent.KeyLength == 0)
            return;
        var parts = new Workspace(workspace);
        DeviceMemory memory = IsInPlace ? buffers.Scores : parts.Take(ScoreBytes(extent));
        memory = memory.Slice<float>(0, extent.ScoreCount);
        ArrayView<SingleElement> scores = memory.View<SingleElement>();
        SoftmaxArguments shape = AttentionLayouts.Softmax(_signature, extent);
        shape.Rows = checked((int)RowCount(extent));
        shape.IsAligned = IsAligned(extent, memory) ? 1 : 0;
        AttentionTables tables = AttentionLayouts.Tables(buffers);
        var query = new ContiguousRows<TElement>
        {
            Elements = buffers.Query.View<TElement>(),
            Layout = AttentionLayouts.Rows(extent.Query, extent.Heads),
        };
        using AcceleratorGate.Scope gate = _loader.Enter();
        _products.Launch(
            Sizes(extent), Matrices(extent), query, _keyValues.Keys(extent, buffers, extent.Heads, _signature.GroupSize),
            scores,
            AttentionLayouts.Rows(TensorLayout.Contiguous(extent.Heads, extent.QueryLength, extent.KeyLength), extent.Heads),
            new ScaleEpilogue { Scale = extent.Scale }, parts.Rest());
        _softmax?.Invoke(
            _loader.Stream, SoftmaxGroups(extent), shape, scores, tables.Sequences, tables.Sinks, _rules.Range(extent),
            _rules.Variant(extent, buffers));
        shape.LaneShift = Rows(extent).LaneShift;
        _store?.Invoke(extent, shape, memory, buffers, tables);
    }

    private static int Matrices(in AttentionExtent extent) => extent.Batch * extent.Heads;

    private MatmulArguments Sizes(in AttentionExtent extent) =>
        new() { Rows = extent.QueryLength, Columns = extent.KeyLength, Depth = _signature.HeadSize };

    private long ScoreBytes(in AttentionExtent extent) => IsInPlace ? 0 : extent.ScoreCount * sizeof(float);

    private static long RowCount(in AttentionExtent extent) => (long)Matrices(extent) * extent.QueryLength;

    private static bool IsAligned(in AttentionExtent extent, DeviceMemory scores) =>
        extent.KeyLength % RowLaunch.Elements == 0 && scores.StartsAtMultipleOf(RowLaunch.Elements * sizeof(float));

    // The threads of a group share a row, as many as there are fours of scores in it.
    private KernelConfig SoftmaxGroups(in AttentionExtent extent) => KernelLoader.Groups(
        RowCount(extent), Math.Min(_loader.Tiles.SoftmaxThreads, 1 << RowLaunch.Lanes(extent.KeyLength)));

    private RowLaunch Rows(in AttentionExtent extent) => RowLaunch.For(_loader.Accelerator, RowThreads, extent.KeyLength);

    /// <summary>The kernel that brings scores from float32 memory to where they are wanted; null where they are there already.</summary>
    private ScoreStore? PlanStore() => _stage switch
    {
        ScoreStage.AverageWeights => PlanAverage(),
        ScoreStage.Masked => PlanStore(_rules),
        ScoreStage.Softcapped when _signature.Has(ScoreVariants.Softcap) => PlanStore(new ScoreRules<Everything, Softcap>(
            static (in AttentionExtent _) => default,
            static (in AttentionExtent extent, in AttentionBuffers _) => new Softcap { Cap = extent.Softcap })),
        ScoreStage.Products or ScoreStage.Softcapped or ScoreStage.Weights when IsSingle => null,
        ScoreStage.Products or ScoreStage.Softcapped or ScoreStage.Weights => PlanStore(new ScoreRules<Everything, NoVariant>(
            static (in AttentionExtent _) => default, static (in AttentionExtent _, in AttentionBuffers _) => default)),
        _ => throw new ArgumentOutOfRangeException(nameof(_stage), _stage, "There is no such stage."),
    };

    private ScoreStore PlanStore<TStoredRange, TStoredVariant>(ScoreRules<TStoredRange, TStoredVariant> rules)
        where TStoredRange : struct, IKeyRange
        where TStoredVariant : struct, IScoreVariant
    {
        var store = _loader.Load<Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<SingleElement>, ArrayView<TElement>,
            ArrayView<Sequence>, TStoredRange, TStoredVariant>>(MaskedSoftmaxKernel.Store<TElement, TStoredRange, TStoredVariant>);
        return (
            in AttentionExtent extent, SoftmaxArguments shape, DeviceMemory scores, in AttentionBuffers buffers, AttentionTables tables) =>
        {
            shape.IsAligned &= StartsAligned(buffers.Scores);
            store(
                _loader.Stream, Rows(extent).Groups(RowCount(extent)), shape, scores.View<SingleElement>(), buffers.Scores.View<TElement>(),
                tables.Sequences, rules.Range(extent), rules.Variant(extent, buffers));
        };
    }

    private ScoreStore PlanAverage()
    {
        var average = _loader.Load<
            Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<SingleElement>, ArrayView<TElement>>>(
            AverageHeadsKernel.Average<TElement>);
        return (
            in AttentionExtent extent, SoftmaxArguments shape, DeviceMemory scores, in AttentionBuffers buffers, AttentionTables _) =>
        {
            DeviceMemory means = buffers.Scores.Slice<TElement>(0, extent.ScoreCount / extent.Heads);
            shape.Rows /= extent.Heads;
            shape.IsAligned &= StartsAligned(means);
            average(
                _loader.Stream, Rows(extent).Groups(shape.Rows), shape, scores.View<SingleElement>(), means.View<TElement>());
        };
    }

    private static int StartsAligned(DeviceMemory target) =>
        target.StartsAtMultipleOf(RowLaunch.Elements * Unsafe.SizeOf<TElement>()) ? 1 : 0;
}
