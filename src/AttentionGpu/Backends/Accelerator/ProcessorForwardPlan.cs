using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Processor;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Attention on a processor: queries, keys and values are panelled, then the fused kernel runs on what was panelled.</summary>
internal sealed class ProcessorForwardPlan<TElement, TRange, TVariant> : IPlan<AttentionBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionArguments, ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int,
        ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly IAttentionBackend _backend;
    private readonly KernelLoader _loader;
    private readonly PanelLaunch<TElement, RowLayout> _packQueries;
    private readonly PanelLaunch<TElement, RowLayout> _packKeys;
    private readonly PanelLaunch<TElement, RowLayout> _packValues;
    private readonly KernelConfig _config;
    private readonly AttentionArguments _shape;
    private readonly int _keyPanels;
    private readonly int _valueLines;
    private readonly TRange _range;
    private readonly VariantBinder<TVariant> _variant;

    public ProcessorForwardPlan(
        AttentionProblem problem, IAttentionBackend backend, KernelLoader loader, TRange range, VariantBinder<TVariant> variant)
    {
        _backend = backend;
        _loader = loader;
        _range = range;
        _variant = variant;
        _shape = AttentionLayouts.Shape(problem);
        var rows = new PanelArguments
        {
            Matrices = problem.KeyValueHeads,
            Sequence = problem.Sequence,
            HasSequences = problem.HasSequences ? 1 : 0,
        };
        PanelArguments queries = rows with
        {
            Lanes = PanelArguments.LeftLanes,
            Rows = problem.QueryLength,
            Columns = problem.HeadSize,
            Matrices = problem.Heads,
            RowsAreLanes = 1,
            RowsAreQueries = 1,
        };
        PanelArguments keys = rows with { Lanes = PanelArguments.RightLanes, Rows = problem.KeyLength, Columns = problem.HeadSize, RowsAreLanes = 1 };
        PanelArguments values = rows with { Lanes = PanelArguments.RightLanes, Rows = problem.KeyLength, Columns = problem.ValueHeadSize };
        _keyPanels = keys.Panels;
        _valueLines = values.PanelDepth;
        _packQueries = new PanelLaunch<TElement, RowLayout>(loader, queries, problem.Batch, _shape.Query);
        _packKeys = new PanelLaunch<TElement, RowLayout>(loader, keys, problem.Batch, PerMatrix(_shape.Key, problem.KeyValueHeads));
        _packValues = new PanelLaunch<TElement, RowLayout>(loader, values, problem.Batch, PerMatrix(_shape.Value, problem.KeyValueHeads));
        _config = KernelLoader.Groups(ProcessorAttentionKernel.GroupCount(_shape, problem.Batch), 1);
        _kernel = loader.Load<ProcessorForwardPlan<TElement, TRange, TVariant>, Action<AcceleratorStream, KernelConfig, AttentionArguments,
            ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int, ArrayView<TElement>, AttentionTables, TRange, TVariant>>(
            accelerator => accelerator.LoadKernel<AttentionArguments, ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int,
                ArrayView<TElement>, AttentionTables, TRange, TVariant>(ProcessorAttentionKernel.Forward));
    }

    public void Execute(in AttentionBuffers buffers)
    {
        using (_loader.Enter())
        {
            long queryBytes = _packQueries.ByteLength;
            long keyBytes = _packKeys.ByteLength;
            DeviceMemory memory = _backend.Rent(queryBytes + keyBytes + _packValues.ByteLength);
            try
            {
                DeviceMemory queries = memory.Slice<byte>(0, queryBytes);

                // Without keys nothing of them is read, but it must be some memory.
                DeviceMemory keys = keyBytes == 0 ? memory : memory.Slice<byte>(queryBytes, keyBytes);
                DeviceMemory values = keyBytes == 0 ? memory : memory.Slice<byte>(queryBytes + keyBytes, _packValues.ByteLength);
                AttentionTables tables = AttentionLayouts.Tables(buffers);
                _packQueries.Launch(buffers.Query.View<TElement>(), tables.Sequences, queries);
                _packKeys.Launch(buffers.Key.View<TElement>(), tables.Sequences, keys);
                _packValues.Launch(buffers.Value.View<TElement>(), tables.Sequences, values);
                _kernel(
                    _loader.Stream, _config, _shape,
                    queries.View<Float4>(), keys.View<Float4>(), _keyPanels, values.View<Float4>(), _valueLines,
                    buffers.Output.View<TElement>(), tables, _range, _variant(buffers));
            }
            finally
            {
                _backend.Return(memory);
            }
        }
    }

    // A head of keys or values is panelled once, whatever number of query heads reads it.
    private static RowLayout PerMatrix(RowLayout layout, int matrices) =>
        layout with { Batch = layout.Batch with { Heads = matrices, HeadsPerMatrix = 1 } };
}
