using System.Numerics;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The kernel that copies, normalises and rotates rows.</summary>
internal sealed class HeadTransformPlan<TElement> : IPlan<HeadTransformBuffers>
    where TElement : unmanaged, IElement<TElement>
{
    private readonly Action<AcceleratorStream, KernelConfig, HeadTransformArguments, ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>,
        ArrayView<float>, ArrayView<float>, ArrayView<int>> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly HeadTransformArguments _shape;

    public HeadTransformPlan(HeadTransform problem, KernelLoader loader)
    {
        _loader = loader;
        _shape = new HeadTransformArguments
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
        int threads = Math.Min(HeadTransformKernel.MaxThreads, loader.Accelerator.MaxNumThreadsPerGroup);
        threads = Math.Min(1 << BitOperations.Log2((uint)threads), (int)BitOperations.RoundUpToPowerOf2((uint)problem.Size));
        _config = KernelLoader.Groups((long)problem.Batch * problem.Heads * problem.Length, threads);
        _kernel = loader.Load<HeadTransformPlan<TElement>, Action<AcceleratorStream, KernelConfig, HeadTransformArguments, ArrayView<TElement>,
            ArrayView<TElement>, ArrayView<float>, ArrayView<float>, ArrayView<float>, ArrayView<int>>>(
            accelerator => accelerator.LoadKernel<HeadTransformArguments, ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>,
                ArrayView<float>, ArrayView<float>, ArrayView<int>>(HeadTransformKernel.Transform));
    }

    public void Execute(in HeadTransformBuffers buffers)
    {
        using (_loader.Enter())
        {
            _kernel(
                _loader.Stream, _config, _shape, buffers.Source.View<TElement>(), buffers.Target.View<TElement>(),
                buffers.Norm.Or(buffers.Source).View<float>(), buffers.Cosine.Or(buffers.Source).View<float>(),
                buffers.Sine.Or(buffers.Source).View<float>(), buffers.Positions.Or(buffers.Source).View<int>());
        }
    }

    private static RowLayout Rows(HeadTransform problem, TensorLayout layout) => new()
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
