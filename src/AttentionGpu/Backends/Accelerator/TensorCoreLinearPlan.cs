using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>A linear layer of 16-bit elements on tensor cores.</summary>
internal sealed class TensorCoreLinearPlan<TTensor> : IPlan<LinearBuffers>
    where TTensor : struct, ITensorCoreElement
{
    private readonly Action<AcceleratorStream, KernelConfig, TensorCoreMatmulArguments> _kernel;
    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly TensorCoreMatmulArguments _shape;
    private readonly bool _hasBias;
    private readonly Lazy<IPlan<LinearBuffers>> _general;

    /// <param name="problem">A problem that <see cref="TensorCoreLinearPlan.Fits"/>.</param>
    /// <param name="loader">The device's kernels.</param>
    /// <param name="general">Makes the plan for memory that does not start at 16 bytes.</param>
    public TensorCoreLinearPlan(LinearProblem problem, KernelLoader loader, Func<IPlan<LinearBuffers>> general)
    {
        _loader = loader;
        _general = new Lazy<IPlan<LinearBuffers>>(general);
        _hasBias = problem.HasBias;
        _shape = new TensorCoreMatmulArguments { Sizes = new MatmulArguments { Rows = problem.Rows, Columns = problem.Columns, Depth = problem.Depth } };
        _config = KernelLoader.Groups(TensorCoreMatmulKernel.GroupCount(_shape.Sizes), TensorCoreTiles.Threads);
        _kernel = loader.Load<TensorCoreLinearPlan<TTensor>, Action<AcceleratorStream, KernelConfig, TensorCoreMatmulArguments>>(
            accelerator => accelerator.LoadKernel<TensorCoreMatmulArguments>(TensorCoreMatmulKernel.Multiply<TTensor>));
    }

    public void Execute(in LinearBuffers buffers)
    {
        using (_loader.Enter())
        {
            TensorCoreMatmulArguments shape = _shape;
            shape.Left = buffers.Input.DeviceAddress;
            shape.Right = buffers.Weight.DeviceAddress;
            shape.Bias = _hasBias ? buffers.Bias.DeviceAddress : 0;
            shape.Result = buffers.Output.DeviceAddress;
            if ((shape.Left | shape.Right | shape.Bias | shape.Result) % TensorCoreTiles.PieceBytes != 0)
                _general.Value.Execute(buffers);
            else
                _kernel(_loader.Stream, _config, shape);
        }
    }
}

/// <summary>What the tensor cores' product can compute, and its plans.</summary>
internal static class TensorCoreLinearPlan
{
    /// <summary>Whether it computes the problem: plain matrices of 16-bit elements in pieces of 16 bytes.</summary>
    public static bool Fits(LinearProblem problem) =>
        problem.Element != ElementType.Float32
        && problem.Columns % TensorCoreTiles.PieceElements == 0 && problem.Depth % TensorCoreTiles.PieceElements == 0
        && problem.Output == MatrixMap.Contiguous(problem.Rows, problem.Columns);

    public static IPlan<LinearBuffers> Create(LinearProblem problem, KernelLoader loader, Func<IPlan<LinearBuffers>> general) =>
        problem.Element == ElementType.Float16
            ? new TensorCoreLinearPlan<HalfTensorCore>(problem, loader, general)
            : new TensorCoreLinearPlan<BFloat16TensorCore>(problem, loader, general);
}
