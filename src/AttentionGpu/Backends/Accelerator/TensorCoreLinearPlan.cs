using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>What the tensor cores' product can compute, and its plans.</summary>
internal static class TensorCoreLinearPlan
{
    private const int PieceElements = TensorCoreTiles.PieceElements;

    /// <summary>Whether it computes the signature: matrices of 16-bit elements in pieces of 16 bytes.</summary>
    public static bool Fits(in LinearSignature signature) =>
        signature == new LinearSignature
        {
            Element = signature.Element,
            Columns = signature.Columns,
            Depth = signature.Depth,
            HasBias = signature.HasBias,
            BatchInvariant = signature.BatchInvariant,
        }
        && signature.Element is ElementType.Float16 or ElementType.BFloat16
        && signature.Columns % PieceElements == 0 && signature.Depth % PieceElements == 0;

    /// <summary>
    /// Whether it computes a call of a signature that fits: the output's rows, and the heads of a split one, are in pieces of 16 bytes too.
    /// </summary>
    public static bool Fits(in LinearSignature signature, in LinearExtent extent) =>
        extent.Output.InnerRowStride % PieceElements == 0
        && (LinearPlanner.IsPlain(signature, extent)
            || (extent.Output.OuterRowStride % PieceElements == 0
                && extent.Output.HeadStride % PieceElements == 0
                && extent.Output.HeadSize % PieceElements == 0));

    /// <param name="signature">A signature that fits.</param>
    /// <param name="loader">The device's kernels.</param>
    /// <param name="general">Makes the plan for calls that do not fit, and for memory that does not start at 16 bytes.</param>
    public static IPlan<LinearExtent, LinearBuffers> Create(
        LinearSignature signature, KernelLoader loader, Func<IPlan<LinearExtent, LinearBuffers>> general) => signature.Element switch
        {
            ElementType.Float16 => new TensorCoreLinearPlan<HalfTensorCore>(signature, loader, general),
            ElementType.BFloat16 => new TensorCoreLinearPlan<BFloat16TensorCore>(signature, loader, general),
            _ => throw ElementTypes.Unknown(signature.Element),
        };
}

/// <summary>A linear layer of 16-bit elements on tensor cores. It takes no workspace.</summary>
internal sealed class TensorCoreLinearPlan<TTensor> : IPlan<LinearExtent, LinearBuffers>
    where TTensor : struct, ITensorCoreElement
{
    private readonly Action<AcceleratorStream, KernelConfig, TensorCoreMatmulArguments> _kernel;
    private readonly LinearSignature _signature;
    private readonly KernelLoader _loader;
    private readonly Lazy<IPlan<LinearExtent, LinearBuffers>> _general;

    public TensorCoreLinearPlan(LinearSignature signature, KernelLoader loader, Func<IPlan<LinearExtent, LinearBuffers>> general)
    {
        _signature = signature;
        _loader = loader;
        _general = new Lazy<IPlan<LinearExtent, LinearBuffers>>(general, LazyThreadSafetyMode.PublicationOnly);
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, TensorCoreMatmulArguments>>(TensorCoreMatmulKernel.Multiply<TTensor>);
    }

    public long WorkspaceBytes(in LinearExtent extent)
    {
        if (!TensorCoreLinearPlan.Fits(_signature, extent))
            return _general.Value.WorkspaceBytes(extent);
        Groups(extent);
        return 0;
    }

    public void Execute(in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows == 0)
            return;
        var arguments = new TensorCoreMatmulArguments
        {
            Sizes = Sizes(extent),
            Left = buffers.Input.DeviceAddress,
            Right = buffers.Weight.DeviceAddress,
            Bias = _signature.HasBias ? buffers.Bias.DeviceAddress : 0,
            Result = buffers.Output.DeviceAddress,
            ResultLayout = extent.Output,
            IsResultSplit = LinearPlanner.IsPlain(_signature, extent) ? 0 : 1,
        };
        bool isAligned = (arguments.Left | arguments.Right | arguments.Bias | arguments.Result) % TensorCoreTiles.PieceBytes == 0;
        if (!isAligned || !TensorCoreLinearPlan.Fits(_signature, extent))
        {
            // Only here are the addresses known; it loads its kernels if need be. On a device with tensor cores it takes no workspace.
            _general.Value.WorkspaceBytes(extent);
            _general.Value.Execute(extent, buffers, workspace);
            return;
        }

        using AcceleratorGate.Scope gate = _loader.Enter();
        _kernel(_loader.Stream, Groups(extent), arguments);
    }

    private MatmulArguments Sizes(in LinearExtent extent) =>
        new() { Rows = extent.Rows, Columns = _signature.Columns, Depth = _signature.Depth };

    private KernelConfig Groups(in LinearExtent extent) =>
        KernelLoader.Groups(TensorCoreMatmulKernel.GroupCount(Sizes(extent)), TensorCoreTiles.Threads);
}
