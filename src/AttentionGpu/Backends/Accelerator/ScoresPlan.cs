using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Attention whose scores are asked for: the fused kernel for the output, then the scores once more as a batch of products, and what becomes
/// of them up to the stage that is wanted.
/// </summary>
internal sealed class ScoresPlan<TElement, TRange, TVariant> : IPlan<AttentionBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private const int ElementThreads = 128;

    private readonly AttentionProblem _problem;
    private readonly ScoreStage _stage;
    private readonly IAttentionBackend _backend;
    private readonly KernelLoader _loader;
    private readonly TRange _range;
    private readonly VariantBinder<TVariant> _variant;
    private readonly IPlan<AttentionBuffers> _forward;
    private readonly IMatmulLaunch<TElement, SingleElement, ScaleEpilogue> _products;
    private readonly SoftmaxArguments _shape;
    private readonly ScoreStore? _store;
    private readonly KernelConfig _softmaxConfig;
    private readonly Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<float>, ArrayView<Sequence>, ArrayView<float>,
        TRange, TVariant> _softmax;

    public ScoresPlan(
        AttentionProblem problem, ScoreStage stage, IAttentionBackend backend, KernelLoader loader, TRange range,
        VariantBinder<TVariant> variant, IPlan<AttentionBuffers> forward)
    {
        _problem = problem;
        _stage = stage;
        _backend = backend;
        _loader = loader;
        _range = range;
        _variant = variant;
        _forward = forward;
        _shape = AttentionLayouts.Softmax(problem);
        int matrices = problem.Batch * problem.Heads;
        _products = MatmulLaunch.Create<TElement, RowLayout, RowLayout, SingleElement, RowLayout, ScaleEpilogue>(
            backend,
            loader,
            new MatmulArguments { Rows = problem.QueryLength, Columns = problem.KeyLength, Depth = problem.HeadSize },
            matrices,
            AttentionLayouts.Rows(problem, problem.Query, 1),
            AttentionLayouts.Rows(problem, problem.Key, problem.GroupSize),
            AttentionLayouts.Rows(problem, TensorLayout.Contiguous(problem.Heads, problem.QueryLength, problem.KeyLength), 1));
        _softmaxConfig = KernelLoader.Groups((long)matrices * problem.QueryLength, loader.Tiles.SoftmaxThreads);
        _softmax = loader.Load<ScoresPlan<TElement, TRange, TVariant>, Action<AcceleratorStream, KernelConfig, SoftmaxArguments,
            ArrayView<float>, ArrayView<Sequence>, ArrayView<float>, TRange, TVariant>>(
            accelerator => accelerator.LoadKernel<SoftmaxArguments, ArrayView<float>, ArrayView<Sequence>, ArrayView<float>, TRange, TVariant>(
                MaskedSoftmaxKernel.Normalize));
        _store = PlanStore();
    }

    private delegate void ScoreStore(ArrayView<float> scores, in AttentionBuffers buffers, AttentionTables tables);

    private bool IsSingle => _problem.Element == ElementType.Float32;

    public void Execute(in AttentionBuffers buffers)
    {
        _forward.Execute(buffers);
        if (_problem.KeyLength == 0)
            return;
        if (IsSingle && _stage != ScoreStage.AverageWeights)
        {
            WriteScores(buffers, buffers.Scores);
            return;
        }

        DeviceMemory memory = _backend.Rent(_problem.ScoreCount * sizeof(float));
        try
        {
            WriteScores(buffers, memory);
        }
        finally
        {
            _backend.Return(memory);
        }
    }

    private void WriteScores(in AttentionBuffers buffers, DeviceMemory memory)
    {
        using (_loader.Enter())
        {
            _products.Launch(
                buffers.Query.View<TElement>(), buffers.Key.View<TElement>(), memory.View<SingleElement>(),
                new ScaleEpilogue { Scale = _problem.Scale });
            AttentionTables tables = AttentionLayouts.Tables(buffers);
            ArrayView<float> scores = memory.View<float>();
            if (_stage is ScoreStage.Weights or ScoreStage.AverageWeights)
                _softmax(_loader.Stream, _softmaxConfig, _shape, scores, tables.Sequences, tables.Sinks, _range, _variant(buffers));
            _store?.Invoke(scores, buffers, tables);
        }
    }

    /// <summary>The kernel that brings scores from float32 memory to where they are wanted; null where they are there already.</summary>
    private ScoreStore? PlanStore() => _stage switch
    {
        ScoreStage.AverageWeights => PlanAverage(),
        ScoreStage.Masked => PlanStore(_range, _variant),
        ScoreStage.Softcapped when _problem.Softcap != 0f =>
            PlanStore(default(Everything), (in AttentionBuffers _) => new Softcap { Cap = _problem.Softcap }),
        _ => IsSingle ? null : PlanStore(default(Everything), (in AttentionBuffers _) => default(NoVariant)),
    };

    private ScoreStore PlanStore<TStoredRange, TStoredVariant>(TStoredRange range, VariantBinder<TStoredVariant> variant)
        where TStoredRange : struct, IKeyRange
        where TStoredVariant : struct, IScoreVariant
    {
        KernelConfig config = Elements(_problem.ScoreCount);
        var store = _loader.Load<StoreKernel<TStoredRange, TStoredVariant>, Action<AcceleratorStream, KernelConfig, SoftmaxArguments,
            ArrayView<float>, ArrayView<TElement>, ArrayView<Sequence>, TStoredRange, TStoredVariant>>(
            accelerator => accelerator.LoadKernel<SoftmaxArguments, ArrayView<float>, ArrayView<TElement>, ArrayView<Sequence>, TStoredRange,
                TStoredVariant>(MaskedSoftmaxKernel.Store));
        return (ArrayView<float> scores, in AttentionBuffers buffers, AttentionTables tables) =>
            store(_loader.Stream, config, _shape, scores, buffers.Scores.View<TElement>(), tables.Sequences, range, variant(buffers));
    }

    private ScoreStore PlanAverage()
    {
        KernelConfig config = Elements(_problem.ScoreCount / _problem.Heads);
        var average = _loader.Load<AverageKernel, Action<AcceleratorStream, KernelConfig, SoftmaxArguments, ArrayView<float>, ArrayView<TElement>>>(
            accelerator => accelerator.LoadKernel<SoftmaxArguments, ArrayView<float>, ArrayView<TElement>>(AverageHeadsKernel.Average));
        return (ArrayView<float> scores, in AttentionBuffers buffers, AttentionTables _) =>
            average(_loader.Stream, config, _shape, scores, buffers.Scores.View<TElement>());
    }

    private KernelConfig Elements(long count)
    {
        int threads = Math.Min(ElementThreads, _loader.Accelerator.MaxNumThreadsPerGroup);
        return KernelLoader.Groups(TileCount.DivideUp(count, threads), threads);
    }

    /// <summary>Stands for the averaging kernel in the loader.</summary>
    private sealed class AverageKernel;

    /// <summary>Stands for a kernel that stores scores in the loader.</summary>
    private sealed class StoreKernel<TStoredRange, TStoredVariant>;
}
