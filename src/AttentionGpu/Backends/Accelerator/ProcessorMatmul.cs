using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Memory;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The kernel for processors, on operands that are panelled first. The panels are its workspace.</summary>
internal sealed class ProcessorMatmul<TLeft, TRight, TOutput, TResult, TEpilogue>(KernelLoader loader)
    : IMatmulLaunch<TLeft, TRight, TOutput, TResult, TEpilogue>
    where TLeft : struct, IMatrixRows
    where TRight : struct, IMatrixRows
    where TOutput : unmanaged, IElement<TOutput>
    where TResult : struct, IMatrixLayout
    where TEpilogue : struct, IEpilogue
{
    private readonly PanelLaunch<TLeft> _left = new(loader);
    private readonly PanelLaunch<TRight> _right = new(loader);

    // A plan has one for plain results and one for split heads, and needs only one of them as a rule.
    private Action<AcceleratorStream, KernelConfig, MatmulArguments, ArrayView<Float4>, ArrayView<Float4>, ArrayView<TOutput>, TResult,
        TEpilogue>? _kernel;

    public long WorkspaceBytes(MatmulArguments shape, int matrices)
    {
        Groups(shape, matrices);
        Load();
        return Workspace.Aligned(_left.Bytes(Left(shape), matrices)) + Workspace.Aligned(_right.Bytes(Right(shape), matrices));
    }

    public void Launch(
        MatmulArguments shape, int matrices, TLeft left, TRight right, ArrayView<TOutput> result, TResult resultLayout, TEpilogue epilogue,
        DeviceMemory workspace)
    {
        PanelArguments leftShape = Left(shape);
        PanelArguments rightShape = Right(shape);
        var parts = new Workspace(workspace);
        DeviceMemory rows = parts.Take(_left.Bytes(leftShape, matrices)).Or(workspace);
        DeviceMemory columns = parts.Take(_right.Bytes(rightShape, matrices)).Or(workspace);
        ArrayView<Sequence> noSequences = workspace.View<Sequence>();
        _left.Launch(leftShape, matrices, left, noSequences, rows);
        _right.Launch(rightShape, matrices, right, noSequences, columns);
        Load()(
            loader.Stream, Groups(shape, matrices), shape, rows.View<Float4>(), columns.View<Float4>(), result, resultLayout, epilogue);
    }

    private Action<AcceleratorStream, KernelConfig, MatmulArguments, ArrayView<Float4>, ArrayView<Float4>, ArrayView<TOutput>, TResult,
        TEpilogue> Load() =>
        _kernel ??= loader.Load<Action<AcceleratorStream, KernelConfig, MatmulArguments, ArrayView<Float4>, ArrayView<Float4>,
            ArrayView<TOutput>, TResult, TEpilogue>>(ProcessorMatmulKernel.Multiply<TOutput, TResult, TEpilogue>);

    private static KernelConfig Groups(MatmulArguments shape, int matrices) =>
        KernelLoader.Groups(ProcessorMatmulKernel.GroupCount(shape, matrices), 1);

    private static PanelArguments Left(MatmulArguments shape) =>
        PanelArguments.Operand(PanelArguments.LeftLanes, shape.Rows, shape.Depth);

    private static PanelArguments Right(MatmulArguments shape) =>
        PanelArguments.Operand(PanelArguments.RightLanes, shape.Columns, shape.Depth);
}
