using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>What the tensor core kernel can compute, and its plans.</summary>
internal static class TensorCoreForwardPlan
{
    private const int PieceElements = TensorCoreTiles.PieceElements;
    private const int MaxHeadSize = 128;

    /// <summary>
    /// Whether the kernel computes the signature: heads of 16-bit elements in pieces of 16 bytes, contiguous keys and values of the same
    /// type, and nothing that changes scores. Scores that are asked for are computed apart.
    /// </summary>
    public static bool Fits(in AttentionSignature signature) =>
        signature == new AttentionSignature
        {
            Element = signature.Element,
            KeyValue = new KeyValueForm(signature.Element),
            HeadSize = signature.HeadSize,
            ValueHeadSize = signature.ValueHeadSize,
            GroupSize = signature.GroupSize,
            Causal = signature.Causal,
            HasWindow = signature.HasWindow,
            HasSequences = signature.HasSequences,
            Scores = signature.Scores,
            BatchInvariant = signature.BatchInvariant,
        }
        && signature.Element is ElementType.Float16 or ElementType.BFloat16
        && signature.HeadSize <= MaxHeadSize && signature.ValueHeadSize <= MaxHeadSize
        && signature.HeadSize % PieceElements == 0 && signature.ValueHeadSize % PieceElements == 0;

    /// <summary>Whether the kernel computes a call of a signature that fits: its strides are in pieces of 16 bytes too.</summary>
    public static bool Fits(in AttentionExtent extent) =>
        extent.Query.IsMultipleOf(PieceElements) && extent.Key.IsMultipleOf(PieceElements) && extent.Value.IsMultipleOf(PieceElements)
        && extent.Output.IsMultipleOf(PieceElements);

    /// <param name="signature">A signature that fits.</param>
    /// <param name="loader">The device's kernels.</param>
    /// <param name="rules">The keys that a query sees.</param>
    /// <param name="general">Makes the plan for calls that do not fit, and for memory that does not start at 16 bytes.</param>
    public static IPlan<AttentionExtent, AttentionBuffers> Create<TRange, TVariant>(
        AttentionSignature signature, KernelLoader loader, ScoreRules<TRange, TVariant> rules,
        Func<IPlan<AttentionExtent, AttentionBuffers>> general)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant => signature.Element switch
        {
            ElementType.Float16 => Create<HalfTensorCore, NativeHalfElement, TRange>(signature, loader, rules.Range, general),
            ElementType.BFloat16 => Create<BFloat16TensorCore, BFloat16Element, TRange>(signature, loader, rules.Range, general),
            _ => throw ElementTypes.Unknown(signature.Element),
        };

    private static IPlan<AttentionExtent, AttentionBuffers> Create<TTensor, TElement, TRange>(
        AttentionSignature signature, KernelLoader loader, RangeBinder<TRange> range,
        Func<IPlan<AttentionExtent, AttentionBuffers>> general)
        where TTensor : struct, ITensorCoreElement
        where TElement : unmanaged, IElement<TElement>
        where TRange : struct, IKeyRange => Math.Max(signature.HeadSize, signature.ValueHeadSize) <= TensorCoreSize64.Columns
            ? new TensorCoreForwardPlan<TTensor, TElement, TensorCoreSize64, TRange>(signature, loader, range, general)
            : new TensorCoreForwardPlan<TTensor, TElement, TensorCoreSize128, TRange>(signature, loader, range, general);
}

/// <summary>The tensor core kernel in one specialisation. It takes no workspace.</summary>
internal sealed class TensorCoreForwardPlan<TTensor, TElement, TSize, TRange> : IPlan<AttentionExtent, AttentionBuffers>
    where TTensor : struct, ITensorCoreElement
    where TElement : unmanaged, IElement<TElement>
    where TSize : struct, ITensorCoreSize
    where TRange : struct, IKeyRange
{
    private readonly Action<AcceleratorStream, KernelConfig, TensorCoreAttentionArguments, ArrayView<Sequence>, TRange,
        ContiguousRows<TElement>, ArrayView<TElement>> _kernel;

    private readonly AttentionSignature _signature;
    private readonly KernelLoader _loader;
    private readonly RangeBinder<TRange> _range;
    private readonly Lazy<IPlan<AttentionExtent, AttentionBuffers>> _general;

    public TensorCoreForwardPlan(
        AttentionSignature signature, KernelLoader loader, RangeBinder<TRange> range,
        Func<IPlan<AttentionExtent, AttentionBuffers>> general)
    {
        _signature = signature;
        _loader = loader;
        _range = range;
        _general = new Lazy<IPlan<AttentionExtent, AttentionBuffers>>(general, LazyThreadSafetyMode.PublicationOnly);
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, TensorCoreAttentionArguments, ArrayView<Sequence>, TRange,
            ContiguousRows<TElement>, ArrayView<TElement>>>(
            TensorCoreAttentionKernel.Forward<TTensor, TElement, TSize, TRange>, TensorCoreAttentionKernel.Specialization(TSize.Columns));
    }

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        if (!TensorCoreForwardPlan.Fits(extent))
            return _general.Value.WorkspaceBytes(extent);
        Groups(extent);
        return 0;
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        var arguments = new TensorCoreAttentionArguments
        {
            Attention = AttentionLayouts.Arguments(_signature, extent),
            QueryRows = AttentionLayouts.Rows(extent.Query, extent.Heads),
            KeyRows = AttentionLayouts.Rows(extent.Key, extent.Heads, _signature.GroupSize),
            ValueRows = AttentionLayouts.Rows(extent.Value, extent.Heads, _signature.GroupSize),
            Query = buffers.Query.DeviceAddress,
            Key = buffers.Key.DeviceAddress,
            Value = buffers.Value.DeviceAddress,
            Output = buffers.Output.DeviceAddress,
        };
        bool isAligned = (arguments.Query | arguments.Key | arguments.Value | arguments.Output) % TensorCoreTiles.PieceBytes == 0;
        if (!isAligned || !TensorCoreForwardPlan.Fits(extent))
        {
            // Only here are the addresses known; it loads its kernels if need be. On a device with tensor cores it takes no workspace.
            _general.Value.WorkspaceBytes(extent);
            _general.Value.Execute(extent, buffers, workspace);
            return;
        }

        using AcceleratorGate.Scope gate = _loader.Enter();
        _kernel(
            _loader.Stream, Groups(extent), arguments, AttentionLayouts.Tables(buffers).Sequences, _range(extent),
            new ContiguousRows<TElement> { Elements = buffers.Value.View<TElement>(), Layout = arguments.ValueRows },
            buffers.Output.View<TElement>());
    }

    private static KernelConfig Groups(in AttentionExtent extent) =>
        KernelLoader.Groups(TensorCoreAttentionKernel.GroupCount(extent.Batch, extent.Heads, extent.QueryLength), TensorCoreTiles.Threads);
}
