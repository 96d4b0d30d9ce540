using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Matmul;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Plans linear layers: plain or head-split outputs, with or without bias.</summary>
internal static class LinearPlanner
{
    public static IPlan<LinearBuffers> Plan(LinearProblem problem, IAttentionBackend backend, KernelLoader loader)
    {
        if (problem.IsEmpty)
            return new NothingPlan<LinearBuffers>();
        return IsPlain(problem.Output, problem.Rows, problem.Columns)
            ? PlanBias(problem, backend, loader, Rows(problem.Output))
            : PlanBias(problem, backend, loader, Heads(problem.Output));
    }

    private static IPlan<LinearBuffers> PlanBias<TOutput>(
        LinearProblem problem, IAttentionBackend backend, KernelLoader loader, TOutput output)
        where TOutput : struct, IMatrixLayout
    {
        var shape = new MatmulShape { Rows = problem.Rows, Columns = problem.Columns, Depth = problem.Depth };
        var rows = new RowLayout { Batch = MatrixBatch.One, RowStride = problem.Depth };
        return problem.HasBias
            ? new MatmulPlan<BiasEpilogue>(
                loader,
                MatmulLaunch.Create<SingleElement, RowLayout, RowLayout, TOutput, BiasEpilogue>(
                    backend, loader, shape, 1, rows, rows, output),
                (in LinearBuffers buffers) => new BiasEpilogue { Bias = buffers.Bias.View<float>() })
            : new MatmulPlan<ScaleEpilogue>(
                loader,
                MatmulLaunch.Create<SingleElement, RowLayout, RowLayout, TOutput, ScaleEpilogue>(
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

    private sealed class MatmulPlan<TEpilogue>(
        KernelLoader loader, IMatmulLaunch<SingleElement, TEpilogue> matmul, EpilogueBinder<TEpilogue> epilogue) : IPlan<LinearBuffers>
        where TEpilogue : struct, IEpilogue
    {
        public void Execute(in LinearBuffers buffers)
        {
            using (loader.Enter())
            {
                matmul.Launch(
                    buffers.Input.View<SingleElement>(), buffers.Weight.View<SingleElement>(), buffers.Output.View<SingleElement>(),
                    epilogue(buffers));
            }
        }
    }
}
