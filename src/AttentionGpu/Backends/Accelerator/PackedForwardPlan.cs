using AttentionGpu.Kernels.Attention;
using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Layouts;
using AttentionGpu.Kernels.Packed;
using AttentionGpu.Kernels.Ranges;
using AttentionGpu.Kernels.Variants;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Attention on a processor: queries, keys and values are packed, then the fused kernel runs on what was packed.</summary>
internal sealed class PackedForwardPlan<TElement, TRange, TVariant> : IPlan<AttentionBuffers>
    where TElement : unmanaged, IElement<TElement>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionShape, ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int,
        ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly IAttentionBackend _backend;
    private readonly KernelLoader _loader;
    private readonly PackLaunch<TElement, RowLayout> _packQueries;
    private readonly PackLaunch<TElement, RowLayout> _packKeys;
    private readonly PackLaunch<TElement, RowLayout> _packValues;
    private readonly KernelConfig _config;
    private readonly AttentionShape _shape;
    private readonly int _keyPanels;
    private readonly int _valueLines;
    private readonly TRange _range;
    private readonly VariantBinder<TVariant> _variant;

    public PackedForwardPlan(
        AttentionProblem problem, IAttentionBackend backend, KernelLoader loader, TRange range, VariantBinder<TVariant> variant)
    {
        _backend = backend;
        _loader = loader;
        _range = range;
        _variant = variant;
        _shape = AttentionLayouts.Shape(problem);
        var rows = new PackShape
        {
            Matrices = problem.KeyValueHeads,
            Sequence = problem.Sequence,
            HasSequences = problem.HasSequences ? 1 : 0,
        };
        PackShape queries = rows with
        {
            Lanes = PackShape.LeftLanes,
            Rows = problem.QueryLength,
            Columns = problem.HeadSize,
            Matrices = problem.Heads,
            RowsAreLanes = 1,
            RowsAreQueries = 1,
        };
        PackShape keys = rows with { Lanes = PackShape.RightLanes, Rows = problem.KeyLength, Columns = problem.HeadSize, RowsAreLanes = 1 };
        PackShape values = rows with { Lanes = PackShape.RightLanes, Rows = problem.KeyLength, Columns = problem.ValueHeadSize };
        _keyPanels = keys.Panels;
        _valueLines = values.PanelDepth;
        _packQueries = new PackLaunch<TElement, RowLayout>(loader, queries, problem.Batch, _shape.Query);
        _packKeys = new PackLaunch<TElement, RowLayout>(loader, keys, problem.Batch, PerMatrix(_shape.Key, problem.KeyValueHeads));
        _packValues = new PackLaunch<TElement, RowLayout>(loader, values, problem.Batch, PerMatrix(_shape.Value, problem.KeyValueHeads));
        _config = KernelLoader.Groups(PackedAttentionKernel.GroupCount(_shape, problem.Batch), 1);
        _kernel = loader.Load<PackedForwardPlan<TElement, TRange, TVariant>, Action<AcceleratorStream, KernelConfig, AttentionShape,
            ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int, ArrayView<TElement>, AttentionTables, TRange, TVariant>>(
            accelerator => accelerator.LoadKernel<AttentionShape, ArrayView<Float4>, ArrayView<Float4>, int, ArrayView<Float4>, int,
                ArrayView<TElement>, AttentionTables, TRange, TVariant>(PackedAttentionKernel.Forward));
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

    // A head of keys or values is packed once, whatever number of query heads reads it.
    private static RowLayout PerMatrix(RowLayout layout, int matrices) =>
        layout with { Batch = layout.Batch with { Heads = matrices, HeadsPerMatrix = 1 } };
}
