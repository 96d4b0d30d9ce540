using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Plans linear layers, with or without bias.</summary>
internal static class LinearPlanner
{
    public static IPlan<LinearExtent, LinearBuffers> Plan(LinearSignature signature, KernelLoader loader)
    {
        if (signature.IsWeightPanelled)
            throw new NotSupportedException("The device reads weights as they are, and none that are panelled.");
        return loader.Tiles.HasTensorCores && TensorCoreLinearPlan.Fits(signature)
            ? new TensorCoreLinearPlan(signature, loader)
            : loader.Visit(signature.Element, new GeneralPlan(signature, loader));
    }

    /// <summary>Whether an output has one head and one outer row: no division is needed to find an element.</summary>
    public static bool IsPlain(in LinearSignature signature, in LinearExtent extent) =>
        extent.Output.InnerRows >= extent.Rows && extent.Output.HeadSize >= signature.Columns;

    private sealed class GeneralPlan(LinearSignature signature, KernelLoader loader) : IElementVisitor<IPlan<LinearExtent, LinearBuffers>>
    {
        public IPlan<LinearExtent, LinearBuffers> Visit<TElement>()
            where TElement : unmanaged, IElement<TElement> => signature.HasBias
                ? new LinearPlan<TElement, BiasEpilogue<TElement>>(
                    signature, loader, static (in LinearBuffers buffers) => new() { Bias = buffers.Bias.View<TElement>() })
                : new LinearPlan<TElement, ScaleEpilogue>(signature, loader, static (in LinearBuffers _) => new() { Scale = 1f });
    }
}

/// <summary>Makes a linear layer's epilogue from a call's memory.</summary>
internal delegate TEpilogue EpilogueBinder<TEpilogue>(in LinearBuffers buffers)
    where TEpilogue : struct, IEpilogue;

/// <summary>A linear layer by the general products.</summary>
internal sealed class LinearPlan<TElement, TEpilogue>(LinearSignature signature, KernelLoader loader, EpilogueBinder<TEpilogue> epilogue)
    : IPlan<LinearExtent, LinearBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TEpilogue : struct, IEpilogue
{
    private readonly IMatmulLaunch<ContiguousRows<TElement>, ContiguousRows<TElement>, TElement, RowLayout, TEpilogue> _plain =
        MatmulLaunch.Create<ContiguousRows<TElement>, ContiguousRows<TElement>, TElement, RowLayout, TEpilogue>(
            loader, signature.BatchInvariant);

    private readonly IMatmulLaunch<ContiguousRows<TElement>, ContiguousRows<TElement>, TElement, HeadLayout, TEpilogue> _split =
        MatmulLaunch.Create<ContiguousRows<TElement>, ContiguousRows<TElement>, TElement, HeadLayout, TEpilogue>(
            loader, signature.BatchInvariant);

    public long WorkspaceBytes(in LinearExtent extent) => LinearPlanner.IsPlain(signature, extent)
        ? _plain.WorkspaceBytes(Sizes(extent), 1)
        : _split.WorkspaceBytes(Sizes(extent), 1);

    public void Execute(in LinearExtent extent, in LinearBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows == 0)
            return;
        var layout = new RowLayout { Batch = MatrixBatch.One, RowStride = signature.Depth };
        var input = new ContiguousRows<TElement> { Elements = buffers.Input.View<TElement>(), Layout = layout };
        var weight = new ContiguousRows<TElement> { Elements = buffers.Weight.View<TElement>(), Layout = layout };
        using AcceleratorGate.Scope gate = loader.Enter();
        if (IsPlain(extent))
        {
            _plain.Launch(
                Sizes(extent), 1, input, weight, buffers.Output.View<TElement>(),
                new RowLayout { Batch = MatrixBatch.One, RowStride = extent.Output.InnerRowStride }, epilogue(buffers), workspace);
        }
        else
        {
            _split.Launch(Sizes(extent), 1, input, weight, buffers.Output.View<TElement>(), extent.Output, epilogue(buffers), workspace);
        }
    }

    // One head of one batch entry is plain, and of two it is not: a batch-invariant product has one kernel for both.
    private bool IsPlain(in LinearExtent extent) => !signature.BatchInvariant && LinearPlanner.IsPlain(signature, extent);

    private MatmulArguments Sizes(in LinearExtent extent) =>
        new() { Rows = extent.Rows, Columns = signature.Columns, Depth = signature.Depth };
}
