using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Attention on a processor: queries, keys and values are panelled, then the fused kernel runs on the panels. They are its workspace.
/// </summary>
internal sealed class ProcessorForwardPlan<TElement, TKeyValues, TRange, TVariant> : IPlan<AttentionExtent, AttentionBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TKeyValues : struct, IMatrixRows
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionArguments, ArrayView<Float4>, ArrayView<Float4>, int,
        ArrayView<Float4>, int, ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly AttentionSignature _signature;
    private readonly KernelLoader _loader;
    private readonly KeyValueBinder<TKeyValues> _keyValues;
    private readonly ScoreRules<TRange, TVariant> _rules;
    private readonly PanelLaunch<ContiguousRows<TElement>> _queries;
    private readonly PanelLaunch<TKeyValues> _rows;

    public ProcessorForwardPlan(
        AttentionSignature signature, KernelLoader loader, KeyValueBinder<TKeyValues> keyValues, ScoreRules<TRange, TVariant> rules)
    {
        _signature = signature;
        _loader = loader;
        _keyValues = keyValues;
        _rules = rules;
        _queries = new PanelLaunch<ContiguousRows<TElement>>(loader);
        _rows = new PanelLaunch<TKeyValues>(loader);
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, AttentionArguments, ArrayView<Float4>, ArrayView<Float4>, int,
            ArrayView<Float4>, int, ArrayView<TElement>, AttentionTables, TRange, TVariant>>(
            ProcessorAttentionKernel.Forward<TElement, TRange, TVariant>);
    }

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        Groups(extent);
        return Workspace.Aligned(_queries.Bytes(Queries(extent), extent.Batch))
            + Workspace.Aligned(_rows.Bytes(Keys(extent), extent.Batch))
            + Workspace.Aligned(_rows.Bytes(Values(extent), extent.Batch));
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        PanelArguments queryShape = Queries(extent);
        PanelArguments keyShape = Keys(extent);
        PanelArguments valueShape = Values(extent);
        var parts = new Workspace(workspace);
        DeviceMemory queries = parts.Take(_queries.Bytes(queryShape, extent.Batch)).Or(workspace);
        DeviceMemory keys = parts.Take(_rows.Bytes(keyShape, extent.Batch)).Or(workspace);
        DeviceMemory values = parts.Take(_rows.Bytes(valueShape, extent.Batch)).Or(workspace);
        AttentionTables tables = AttentionLayouts.Tables(buffers);
        var query = new ContiguousRows<TElement>
        {
            Elements = buffers.Query.View<TElement>(),
            Layout = AttentionLayouts.Rows(extent.Query, extent.Heads),
        };
        using AcceleratorGate.Scope gate = _loader.Enter();
        _queries.Launch(queryShape, extent.Batch, query, tables.Sequences, queries);
        if (extent.KeyLength != 0)
        {
            // A head of keys or values is panelled once, whatever number of query heads reads it.
            _rows.Launch(keyShape, extent.Batch, _keyValues.Keys(extent, buffers, extent.KeyValueHeads, 1), tables.Sequences, keys);
            _rows.Launch(valueShape, extent.Batch, _keyValues.Values(extent, buffers, extent.KeyValueHeads, 1), tables.Sequences, values);
        }

        _kernel(
            _loader.Stream, Groups(extent), AttentionLayouts.Arguments(_signature, extent),
            queries.View<Float4>(), keys.View<Float4>(), keyShape.Panels, values.View<Float4>(), valueShape.PanelDepth,
            buffers.Output.View<TElement>(), tables, _rules.Range(extent), _rules.Variant(extent, buffers));
    }

    private KernelConfig Groups(in AttentionExtent extent) =>
        KernelLoader.Groups(ProcessorAttentionKernel.GroupCount(AttentionLayouts.Arguments(_signature, extent), extent.Batch), 1);

    private PanelArguments Queries(in AttentionExtent extent) => Rows(extent) with
    {
        Lanes = PanelArguments.LeftLanes,
        Rows = extent.QueryLength,
        Columns = _signature.HeadSize,
        Matrices = extent.Heads,
        RowsAreLanes = 1,
        RowsAreQueries = 1,
    };

    private PanelArguments Keys(in AttentionExtent extent) => Rows(extent) with { Columns = _signature.HeadSize, RowsAreLanes = 1 };

    private PanelArguments Values(in AttentionExtent extent) => Rows(extent) with { Columns = _signature.ValueHeadSize };

    private PanelArguments Rows(in AttentionExtent extent) => new()
    {
        Lanes = PanelArguments.RightLanes,
        Rows = extent.KeyLength,
        Matrices = extent.KeyValueHeads,
        Sequence = extent.Sequence,
        HasSequences = _signature.HasSequences ? 1 : 0,
    };
}
