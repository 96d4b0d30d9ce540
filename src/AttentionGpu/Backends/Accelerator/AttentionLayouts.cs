using AttentionGpu.Kernels.Attention;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Translates a problem's sizes and strides into the kernels' structs.</summary>
internal static class AttentionLayouts
{
    public static AttentionShape Shape(AttentionProblem problem) => new()
    {
        Heads = problem.Heads,
        QueryLength = problem.QueryLength,
        KeyLength = problem.KeyLength,
        HeadSize = problem.HeadSize,
        ValueHeadSize = problem.ValueHeadSize,
        Scale = problem.Scale,
        Query = Rows(problem, problem.Query, 1),
        Key = Rows(problem, problem.Key, problem.GroupSize),
        Value = Rows(problem, problem.Value, problem.GroupSize),
        Output = Rows(problem, problem.Output, 1),
    };

    public static SoftmaxShape Softmax(AttentionProblem problem) => new()
    {
        Heads = problem.Heads,
        QueryLength = problem.QueryLength,
        KeyLength = problem.KeyLength,
    };

    public static RowLayout Rows(AttentionProblem problem, TensorLayout layout, int headsPerMatrix) =>
        new() { Batch = Batch(problem, layout, headsPerMatrix), RowStride = layout.RowStride };

    public static MatrixBatch Batch(AttentionProblem problem, TensorLayout layout, int headsPerMatrix) => new()
    {
        Heads = problem.Heads,
        HeadsPerMatrix = headsPerMatrix,
        BatchStride = layout.BatchStride,
        HeadStride = layout.HeadStride,
    };
}
