using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Kernels.Softmax;
using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Attention that keeps its weights: scores as a batch of products, a masked softmax in place, then the product with the values, and the
/// mean over heads where it is asked for.
/// </summary>
internal sealed class WeightsPlan<TMask> : IPlan<AttentionBuffers>
    where TMask : struct, IAttentionMask
{
    private const int AverageThreads = 128;

    private readonly AttentionProblem _problem;
    private readonly IAttentionBackend _backend;
    private readonly KernelLoader _loader;
    private readonly MaskBinder<TMask> _mask;
    private readonly IMatmulLaunch<ScaleEpilogue> _scores;
    private readonly IMatmulLaunch<ScaleEpilogue> _values;
    private readonly SoftmaxShape _shape;
    private readonly KernelConfig _softmaxConfig;
    private readonly KernelConfig _averageConfig;
    private readonly Action<AcceleratorStream, KernelConfig, SoftmaxShape, ArrayView<float>, TMask> _softmax;
    private readonly Action<AcceleratorStream, KernelConfig, SoftmaxShape, ArrayView<float>, ArrayView<float>> _average;

    public WeightsPlan(AttentionProblem problem, IAttentionBackend backend, KernelLoader loader, MaskBinder<TMask> mask)
    {
        _problem = problem;
        _backend = backend;
        _loader = loader;
        _mask = mask;
        _shape = AttentionLayouts.Softmax(problem);
        int matrices = problem.Batch * problem.Heads;
        RowLayout weights = AttentionLayouts.Rows(
            problem, TensorLayout.Contiguous(problem.Heads, problem.QueryLength, problem.KeyLength), 1);
        _scores = MatmulLaunch.Create<RowLayout, RowLayout, RowLayout, ScaleEpilogue>(
            loader,
            new MatmulShape { Rows = problem.QueryLength, Columns = problem.KeyLength, Depth = problem.HeadSize },
            matrices,
            AttentionLayouts.Rows(problem, problem.Query, 1),
            AttentionLayouts.Rows(problem, problem.Key, problem.GroupSize),
            weights);

        // The values are [keys, size]; as the right operand they are read transposed, in place.
        _values = MatmulLaunch.Create<RowLayout, ColumnLayout, RowLayout, ScaleEpilogue>(
            loader,
            new MatmulShape { Rows = problem.QueryLength, Columns = problem.ValueHeadSize, Depth = problem.KeyLength },
            matrices,
            weights,
            new ColumnLayout
            {
                Batch = AttentionLayouts.Batch(problem, problem.Value, problem.GroupSize),
                ColumnStride = problem.Value.RowStride,
            },
            AttentionLayouts.Rows(problem, problem.Output, 1));

        _softmaxConfig = KernelLoader.Groups((long)matrices * problem.QueryLength, loader.Tiles.SoftmaxThreads);
        _softmax = loader.Load<WeightsPlan<TMask>, Action<AcceleratorStream, KernelConfig, SoftmaxShape, ArrayView<float>, TMask>>(
            accelerator => accelerator.LoadKernel<SoftmaxShape, ArrayView<float>, TMask>(MaskedSoftmaxKernel.Normalize));

        int averageThreads = Math.Min(AverageThreads, loader.Accelerator.MaxNumThreadsPerGroup);
        long averages = problem.WeightCount / problem.Heads;
        _averageConfig = KernelLoader.Groups(TileCount.DivideUp(averages, averageThreads), averageThreads);
        _average = loader.Load<AverageKernel, Action<AcceleratorStream, KernelConfig, SoftmaxShape, ArrayView<float>, ArrayView<float>>>(
            accelerator => accelerator.LoadKernel<SoftmaxShape, ArrayView<float>, ArrayView<float>>(AverageHeadsKernel.Average));
    }

    public void Execute(in AttentionBuffers buffers)
    {
        if (_problem.Weights == WeightsKind.PerHead)
        {
            Run(buffers, buffers.Weights);
            return;
        }

        DeviceMemory perHead = _backend.Rent(_problem.WeightCount * sizeof(float));
        try
        {
            Run(buffers, perHead);
        }
        finally
        {
            _backend.Return(perHead);
        }
    }

    private void Run(in AttentionBuffers buffers, DeviceMemory perHead)
    {
        using (_loader.Enter())
        {
            ArrayView<float> output = buffers.Output.View<float>();
            if (_problem.KeyLength == 0)
            {
                output.MemSetToZero(_loader.Stream);
                return;
            }

            ArrayView<float> weights = perHead.View<float>();
            _scores.Launch(
                buffers.Query.View<float>(), buffers.Key.View<float>(), weights, new ScaleEpilogue { Scale = _problem.Scale });
            _softmax(_loader.Stream, _softmaxConfig, _shape, weights, _mask(buffers));
            _values.Launch(weights, buffers.Value.View<float>(), output, new ScaleEpilogue { Scale = 1f });
            if (_problem.Weights == WeightsKind.Averaged)
                _average(_loader.Stream, _averageConfig, _shape, weights, buffers.Weights.View<float>());
        }
    }

    /// <summary>Stands for the averaging kernel in the loader.</summary>
    private sealed class AverageKernel;
}
