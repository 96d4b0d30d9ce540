using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Tiled.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Translates a call's sizes and strides into the kernels' structs.</summary>
internal static class AttentionLayouts
{
    public static AttentionArguments Arguments(in AttentionSignature signature, in AttentionExtent extent) => new()
    {
        Heads = extent.Heads,
        GroupSize = signature.GroupSize,
        QueryLength = extent.QueryLength,
        Sequence = extent.Sequence,
        HasSequences = signature.HasSequences ? 1 : 0,
        HasSinks = signature.HasSinks ? 1 : 0,
        HasLogSumExp = signature.HasLogSumExp ? 1 : 0,
        HeadSize = signature.HeadSize,
        ValueHeadSize = signature.ValueHeadSize,
        Scale = extent.Scale,
        Output = Rows(extent.Output, extent.Heads),
        LogSumExp = Rows(extent.LogSumExp, extent.Heads),
    };

    public static SoftmaxArguments Softmax(in AttentionSignature signature, in AttentionExtent extent) => new()
    {
        Heads = extent.Heads,
        QueryLength = extent.QueryLength,
        KeyLength = extent.KeyLength,
        Sequence = extent.Sequence,
        HasSequences = signature.HasSequences ? 1 : 0,
        HasSinks = signature.HasSinks ? 1 : 0,
    };

    /// <summary>The small inputs and outputs; what a call does not have is some other memory.</summary>
    public static AttentionTables Tables(in AttentionBuffers buffers) => new()
    {
        Sequences = buffers.Sequences.Or(buffers.Output).View<Sequence>(),
        Sinks = buffers.Sinks.Or(buffers.Output).View<float>(),
        LogSumExp = buffers.LogSumExp.Or(buffers.Output).View<float>(),
    };

    /// <summary>The rows of a grid of (batch, head) matrices.</summary>
    /// <param name="layout">Where they lie.</param>
    /// <param name="heads">Heads of the grid in a batch entry.</param>
    /// <param name="headsPerMatrix">Heads of the grid that share a matrix.</param>
    public static RowLayout Rows(TensorLayout layout, int heads, int headsPerMatrix = 1) => new()
    {
        Batch = new MatrixBatch
        {
            Heads = heads,
            HeadsPerMatrix = headsPerMatrix,
            BatchStride = layout.BatchStride,
            HeadStride = layout.HeadStride,
        },
        RowStride = layout.RowStride,
    };
}
