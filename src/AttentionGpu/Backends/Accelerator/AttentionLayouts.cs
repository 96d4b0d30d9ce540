using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Translates a problem's sizes and strides into the kernels' structs.</summary>
internal static class AttentionLayouts
{
    public static AttentionArguments Shape(AttentionProblem problem) => new()
    {
        Heads = problem.Heads,
        QueryLength = problem.QueryLength,
        Sequence = problem.Sequence,
        HasSequences = problem.HasSequences ? 1 : 0,
        HasSinks = problem.HasSinks ? 1 : 0,
        HasLogSumExp = problem.LogSumExp is null ? 0 : 1,
        HeadSize = problem.HeadSize,
        ValueHeadSize = problem.ValueHeadSize,
        Scale = problem.Scale,
        Query = Rows(problem, problem.Query, 1),
        Key = Rows(problem, problem.Key, problem.GroupSize),
        Value = Rows(problem, problem.Value, problem.GroupSize),
        Output = Rows(problem, problem.Output, 1),
        LogSumExp = Rows(problem, problem.LogSumExp ?? default, 1),
    };

    public static SoftmaxArguments Softmax(AttentionProblem problem) => new()
    {
        Heads = problem.Heads,
        QueryLength = problem.QueryLength,
        KeyLength = problem.KeyLength,
        Sequence = problem.Sequence,
        HasSequences = problem.HasSequences ? 1 : 0,
        HasSinks = problem.HasSinks ? 1 : 0,
    };

    /// <summary>The small inputs and outputs; what the problem does not have is some other memory.</summary>
    public static AttentionTables Tables(in AttentionBuffers buffers) => new()
    {
        Sequences = buffers.Sequences.Or(buffers.Output).View<Sequence>(),
        Sinks = buffers.Sinks.Or(buffers.Output).View<float>(),
        LogSumExp = buffers.LogSumExp.Or(buffers.Output).View<float>(),
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
