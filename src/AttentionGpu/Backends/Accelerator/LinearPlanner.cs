using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Plans linear layers: plain or head-split outputs, with or without bias.</summary>
internal static class LinearPlanner
{
    public static IPlan<LinearBuffers> Plan(LinearProblem problem, IAttentionBackend backend, KernelLoader loader)
    {
        if (problem.IsEmpty)
            return new NothingPlan<LinearBuffers>();
        return loader.Tiles.HasTensorCores && TensorCoreLinearPlan.Fits(problem)
            ? TensorCoreLinearPlan.Create(problem, loader, () => PlanGeneral(problem, backend, loader))
            : PlanGeneral(problem, backend, loader);
    }

    private static IPlan<LinearBuffers> PlanGeneral(LinearProblem problem, IAttentionBackend backend, KernelLoader loader)
    {
        return problem.Element switch
        {
            ElementType.Float32 => PlanOutput<SingleElement>(problem, backend, loader),
            ElementType.Float16 => PlanOutput<HalfElement>(problem, backend, loader),
            _ => PlanOutput<BFloat16Element>(problem, backend, loader),
        };
    }

    private static IPlan<LinearBuffers> PlanOutput<TElement>(LinearProblem problem, IAttentionBackend backend, KernelLoader loader)
        where TElement : unmanaged, IElement<TElement> => IsPlain(problem.Output, problem.Rows, problem.Columns)
            ? PlanBias<TElement, RowLayout>(problem, backend, loader, Rows(problem.Output))
            : PlanBias<TElement, HeadLayout>(problem, backend, loader, Heads(problem.Output));

    private static IPlan<LinearBuffers> PlanBias<TElement, TOutput>(
        LinearProblem problem, IAttentionBackend backend, KernelLoader loader, TOutput output)
        where TElement : unmanaged, IElement<TElement>
        where TOutput : struct, IMatrixLayout
    {
        var shape = new MatmulArguments { Rows = problem.Rows, Columns = problem.Columns, Depth = problem.Depth };
        var rows = new RowLayout { Batch = MatrixBatch.One, RowStride = problem.Depth };
        return problem.HasBias
            ? new MatmulPlan<TElement, BiasEpilogue<TElement>>(
                loader,
                MatmulLaunch.Create<TElement, RowLayout, RowLayout, TElement, TOutput, BiasEpilogue<TElement>>(
                    backend, loader, shape, 1, rows, rows, output),
                (in LinearBuffers buffers) => new BiasEpilogue<TElement> { Bias = buffers.Bias.View<TElement>() })
            : new MatmulPlan<TElement, ScaleEpilogue>(
                loader,
                MatmulLaunch.Create<TElement, RowLayout, RowLayout, TElement, TOutput, ScaleEpilogue>(
                    backend, loader, shape, 1, rows, rows, output),
                (in LinearBuffers _) => new ScaleEpilogue { Scale = 1f });
    }

    // One head and one outer row: no division is needed to find an element.
    private static bool IsPlain(MatrixMap map, int rows, int columns) => map.InnerRows >= rows && map.HeadSize >= columns;

    private static RowLayout Rows(MatrixMap map) => new() { Batch = MatrixBatch.One, RowStride = map.InnerRowStride };

    private static HeadLayout Heads(MatrixMap map) => new()
    {
        InnerRows = map.InnerRows,
        OuterRowStride = map.OuterRowStride,
        InnerRowStride = map.InnerRowStride,
        HeadSize = map.HeadSize,
        HeadStride = map.HeadStride,
    };

    private delegate TEpilogue EpilogueBinder<TEpilogue>(in LinearBuffers buffers)
        where TEpilogue : struct, IEpilogue;

    private sealed class MatmulPlan<TElement, TEpilogue>(
        KernelLoader loader, IMatmulLaunch<TElement, TElement, TEpilogue> matmul, EpilogueBinder<TEpilogue> epilogue) : IPlan<LinearBuffers>
        where TElement : unmanaged, IElement<TElement>
        where TEpilogue : struct, IEpilogue
    {
        public void Execute(in LinearBuffers buffers)
        {
            using (loader.Enter())
            {
                matmul.Launch(
                    buffers.Input.View<TElement>(), buffers.Weight.View<TElement>(), buffers.Output.View<TElement>(),
                    epilogue(buffers));
            }
        }
    }
}
