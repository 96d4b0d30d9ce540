using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The fused attention kernel in one specialisation. It takes no workspace.</summary>
internal sealed class ForwardPlan<TTile, TValues, TReduction, TElement, TKeyValues, TRange, TVariant>
    : IPlan<AttentionExtent, AttentionBuffers>
    where TTile : struct, ITile
    where TValues : struct, IBlockFragment
    where TReduction : struct, IRowReduction
    where TElement : unmanaged, IElement<TElement>
    where TKeyValues : struct, IMatrixRows
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionArguments, ContiguousRows<TElement>, TKeyValues, TKeyValues,
        ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly AttentionSignature _signature;
    private readonly KernelLoader _loader;
    private readonly KeyValueBinder<TKeyValues> _keyValues;
    private readonly ScoreRules<TRange, TVariant> _rules;

    public ForwardPlan(
        AttentionSignature signature, KernelLoader loader, KeyValueBinder<TKeyValues> keyValues, ScoreRules<TRange, TVariant> rules)
    {
        _signature = signature;
        _loader = loader;
        _keyValues = keyValues;
        _rules = rules;
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, AttentionArguments, ContiguousRows<TElement>, TKeyValues, TKeyValues,
            ArrayView<TElement>, AttentionTables, TRange, TVariant>>(
            AttentionKernel.Forward<TTile, TValues, TReduction, TElement, TKeyValues, TRange, TVariant>,
            AttentionKernel.Specialization(ThreadPosition<TTile>.Threads));
    }

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        Groups(extent);
        return 0;
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        var query = new ContiguousRows<TElement>
        {
            Elements = buffers.Query.View<TElement>(),
            Layout = AttentionLayouts.Rows(extent.Query, extent.Heads),
        };
        using AcceleratorGate.Scope gate = _loader.Enter();
        _kernel(
            _loader.Stream, Groups(extent), AttentionLayouts.Arguments(_signature, extent),
            query,
            _keyValues.Keys(extent, buffers, extent.Heads, _signature.GroupSize),
            _keyValues.Values(extent, buffers, extent.Heads, _signature.GroupSize),
            buffers.Output.View<TElement>(), AttentionLayouts.Tables(buffers), _rules.Range(extent), _rules.Variant(extent, buffers));
    }

    private KernelConfig Groups(in AttentionExtent extent) => KernelLoader.Groups(
        AttentionKernel.GroupCount<TTile, TValues>(AttentionLayouts.Arguments(_signature, extent), extent.Batch),
        ThreadPosition<TTile>.Threads);
}
