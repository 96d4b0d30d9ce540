using System.Numerics;
using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Rows;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The kernel that copies, normalises and rotates rows.</summary>
internal sealed class RowPlan<TElement> : IPlan<RowBuffers>
    where TElement : unmanaged, IElement<TElement>
{
    private readonly Action<AcceleratorStream, KernelConfig, RowTransformShape, ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>,
        ArrayView<float>, ArrayView<float>, ArrayView<int>> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly RowTransformShape _shape;

    public RowPlan(RowProblem problem, KernelLoader loader)
    {
        _loader = loader;
        _shape = new RowTransformShape
        {
            Length = problem.Length,
            Heads = problem.Heads,
            Size = problem.Size,
            RotarySize = problem.RotarySize,
            IsInterleaved = problem.IsInterleaved ? 1 : 0,
            HasNorm = problem.NormEpsilon is null ? 0 : 1,
            Epsilon = problem.NormEpsilon ?? 0f,
            Source = Rows(problem, problem.Source),
            Target = Rows(problem, problem.Target),
        };
        int threads = Math.Min(RowTransformKernel.MaxThreads, loader.Accelerator.MaxNumThreadsPerGroup);
        threads = Math.Min(1 << BitOperations.Log2((uint)threads), (int)BitOperations.RoundUpToPowerOf2((uint)problem.Size));
        _config = KernelLoader.Groups((long)problem.Batch * problem.Heads * problem.Length, threads);
        _kernel = loader.Load<RowPlan<TElement>, Action<AcceleratorStream, KernelConfig, RowTransformShape, ArrayView<TElement>,
            ArrayView<TElement>, ArrayView<float>, ArrayView<float>, ArrayView<float>, ArrayView<int>>>(
            accelerator => accelerator.LoadKernel<RowTransformShape, ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>,
                ArrayView<float>, ArrayView<float>, ArrayView<int>>(RowTransformKernel.Transform));
    }

    public void Execute(in RowBuffers buffers)
    {
        using (_loader.Enter())
        {
            _kernel(
                _loader.Stream, _config, _shape, buffers.Source.View<TElement>(), buffers.Target.View<TElement>(),
                buffers.Norm.Or(buffers.Source).View<float>(), buffers.Cosine.Or(buffers.Source).View<float>(),
                buffers.Sine.Or(buffers.Source).View<float>(), buffers.Positions.Or(buffers.Source).View<int>());
        }
    }

    private static RowLayout Rows(RowProblem problem, TensorLayout layout) => new()
    {
        Batch = new MatrixBatch
        {
            Heads = problem.Heads,
            HeadsPerMatrix = 1,
            BatchStride = layout.BatchStride,
            HeadStride = layout.HeadStride,
        },
        RowStride = layout.RowStride,
    };
}
