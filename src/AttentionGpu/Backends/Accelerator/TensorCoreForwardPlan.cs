using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>What the tensor core kernel can compute, and its plans.</summary>
internal static class TensorCoreForwardPlan
{
    private const int PieceElements = TensorCoreTiles.PieceElements;
    private const int MaxHeadSize = 128;

    /// <summary>Whether the kernel computes the problem, scores that are asked for apart: 16-bit elements in pieces of 16 bytes, and nothing that changes scores.</summary>
    public static bool Fits(AttentionProblem problem) =>
        problem.Element is ElementType.Float16 or ElementType.BFloat16
        && problem.HeadSize <= MaxHeadSize && problem.ValueHeadSize <= MaxHeadSize
        && problem.HeadSize % PieceElements == 0 && problem.ValueHeadSize % PieceElements == 0
        && IsInPieces(problem.Query) && IsInPieces(problem.Key) && IsInPieces(problem.Value) && IsInPieces(problem.Output)
        && !problem.HasSinks && problem.LogSumExp is null && !ChangesScores(problem);

    /// <param name="problem">A problem that fits.</param>
    /// <param name="loader">The device's kernels.</param>
    /// <param name="range">The keys that a query sees.</param>
    /// <param name="general">Makes the plan for memory that does not start at 16 bytes.</param>
    public static IPlan<AttentionBuffers> Create<TRange>(
        AttentionProblem problem, KernelLoader loader, TRange range, Func<IPlan<AttentionBuffers>> general)
        where TRange : struct, IKeyRange => problem.Element == ElementType.Float16
            ? Create<HalfTensorCore, TRange>(problem, loader, range, general)
            : Create<BFloat16TensorCore, TRange>(problem, loader, range, general);

    private static IPlan<AttentionBuffers> Create<TTensor, TRange>(
        AttentionProblem problem, KernelLoader loader, TRange range, Func<IPlan<AttentionBuffers>> general)
        where TTensor : struct, ITensorCoreElement
        where TRange : struct, IKeyRange => Math.Max(problem.HeadSize, problem.ValueHeadSize) <= TensorCoreSize64.Columns
            ? new TensorCoreForwardPlan<TTensor, TensorCoreSize64, TRange>(problem, loader, range, general)
            : new TensorCoreForwardPlan<TTensor, TensorCoreSize128, TRange>(problem, loader, range, general);

    private static bool IsInPieces(TensorLayout layout) =>
        layout.BatchStride % PieceElements == 0 && layout.HeadStride % PieceElements == 0 && layout.RowStride % PieceElements == 0;

    private static bool ChangesScores(AttentionProblem problem) =>
        problem.Softcap != 0f || problem.HasAlibi || problem.Bias is not null || problem.Mask is not null || problem.HasDocuments || problem.HasKeyPadding;
}

/// <summary>The tensor core kernel in one specialisation.</summary>
internal sealed class TensorCoreForwardPlan<TTensor, TSize, TRange> : IPlan<AttentionBuffers>
    where TTensor : struct, ITensorCoreElement
    where TSize : struct, ITensorCoreSize
    where TRange : struct, IKeyRange
{
    private readonly Action<AcceleratorStream, KernelConfig, TensorCoreAttentionArguments, ArrayView<Sequence>, TRange> _kernel;
    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly TensorCoreAttentionArguments _shape;
    private readonly TRange _range;
    private readonly Lazy<IPlan<AttentionBuffers>> _general;

    public TensorCoreForwardPlan(AttentionProblem problem, KernelLoader loader, TRange range, Func<IPlan<AttentionBuffers>> general)
    {
        _loader = loader;
        _range = range;
        _general = new Lazy<IPlan<AttentionBuffers>>(general);
        _shape = new TensorCoreAttentionArguments { Attention = AttentionLayouts.Shape(problem) };
        _config = KernelLoader.Groups(
            TensorCoreAttentionKernel.GroupCount(problem.Batch, problem.Heads, problem.QueryLength), TensorCoreTiles.Threads);
        _kernel = loader.Load<TensorCoreForwardPlan<TTensor, TSize, TRange>, Action<AcceleratorStream, KernelConfig, TensorCoreAttentionArguments,
            ArrayView<Sequence>, TRange>>(
            accelerator => accelerator.LoadKernel<TensorCoreAttentionArguments, ArrayView<Sequence>, TRange>(TensorCoreAttentionKernel.Forward<TTensor, TSize, TRange>));
    }

    public void Execute(in AttentionBuffers buffers)
    {
        using (_loader.Enter())
        {
            TensorCoreAttentionArguments shape = _shape;
            shape.Query = buffers.Query.DeviceAddress;
            shape.Key = buffers.Key.DeviceAddress;
            shape.Value = buffers.Value.DeviceAddress;
            shape.Output = buffers.Output.DeviceAddress;
            if ((shape.Query | shape.Key | shape.Value | shape.Output) % TensorCoreTiles.PieceBytes != 0)
                _general.Value.Execute(buffers);
            else
                _kernel(_loader.Stream, _config, shape, AttentionLayouts.Tables(buffers).Sequences, _range);
        }
    }
}
