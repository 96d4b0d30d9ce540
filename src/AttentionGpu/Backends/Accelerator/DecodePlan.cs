using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Decoding;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>
/// Splits the keys of few queries into parts, and leaves other calls to another plan. The parts' results are its workspace.
/// </summary>
/// <remarks>
/// Where results may depend on a sequence's own lengths only, each sequence of few queries is split: in a call that has others beside, the
/// other plan computes all, and then those of few queries are written again.
/// </remarks>
internal sealed class DecodePlan<TTile, TElement, TKeyValues, TRange, TVariant> : IPlan<AttentionExtent, AttentionBuffers>
    where TTile : struct, ITile
    where TElement : unmanaged, IElement<TElement>
    where TKeyValues : struct, IMatrixRows
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly AttentionSignature _signature;
    private readonly KernelLoader _loader;
    private readonly KeyValueBinder<TKeyValues> _keyValues;
    private readonly ScoreRules<TRange, TVariant> _rules;
    private readonly IPlan<AttentionExtent, AttentionBuffers> _other;

    // Loaded when they are first asked for: a program may never decode.
    private Action<AcceleratorStream, KernelConfig, DecodeArguments, ContiguousRows<TElement>, TKeyValues, TKeyValues,
        ArrayView<Sequence>, TRange, TVariant>? _part;

    private Action<AcceleratorStream, KernelConfig, DecodeArguments, ArrayView<TElement>, AttentionTables, TRange>? _merge;

    public DecodePlan(
        AttentionSignature signature, KernelLoader loader, KeyValueBinder<TKeyValues> keyValues, ScoreRules<TRange, TVariant> rules,
        IPlan<AttentionExtent, AttentionBuffers> other)
    {
        _signature = signature;
        _loader = loader;
        _keyValues = keyValues;
        _rules = rules;
        _other = other;
    }

    public long WorkspaceBytes(in AttentionExtent extent)
    {
        bool splits = Splits(extent);
        long others = splits && !HasOthers(extent) ? 0 : _other.WorkspaceBytes(extent);
        if (!splits)
            return others;
        Load();
        DecodeArguments shape = Arguments(extent);
        PartGroups(shape, extent);
        MergeGroups(shape, extent);
        return Math.Max(others, checked(Workspace.Aligned(SumBytes(shape, extent)) + Workspace.Aligned(OutputBytes(shape, extent))));
    }

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        bool splits = Splits(extent);
        if (!splits || HasOthers(extent))
            _other.Execute(extent, buffers, workspace);
        if (!splits)
            return;
        DecodeArguments shape = Arguments(extent);
        var parts = new Workspace(workspace);
        shape.LogSumExp = parts.Take(SumBytes(shape, extent)).View<float>();
        shape.Outputs = parts.Take(OutputBytes(shape, extent)).View<float>();
        AttentionTables tables = AttentionLayouts.Tables(buffers);
        var query = new ContiguousRows<TElement>
        {
            Elements = buffers.Query.View<TElement>(),
            Layout = AttentionLayouts.Rows(extent.Query, extent.Heads),
        };
        Load();
        using AcceleratorGate.Scope gate = _loader.Enter();
        _part!(
            _loader.Stream, PartGroups(shape, extent), shape, query, _keyValues.Keys(extent, buffers, extent.KeyValueHeads, 1),
            _keyValues.Values(extent, buffers, extent.KeyValueHeads, 1), tables.Sequences, _rules.Range(extent),
            _rules.Variant(extent, buffers));
        _merge!(
            _loader.Stream, MergeGroups(shape, extent), shape, buffers.Output.View<TElement>(), tables, _rules.Range(extent));
    }

    // Below two parts there is nothing to split. A batch-invariant call cannot ask how long the longest sequence is.
    private bool Splits(in AttentionExtent extent) => extent.Sequence.KeyLength != 0 && (_signature.BatchInvariant
        ? _signature.HasSequences || extent.QueryLength <= DecodeArguments.MaxQueries
        : extent.QueryLength <= DecodeArguments.MaxQueries && extent.Sequence.KeyLength > DecodeArguments.PartKeys);

    private static bool HasOthers(in AttentionExtent extent) => extent.QueryLength > DecodeArguments.MaxQueries;

    private static KernelConfig PartGroups(in DecodeArguments shape, in AttentionExtent extent) =>
        KernelLoader.Groups(DecodeKernel.GroupCount(shape, extent.Batch), ThreadPosition<TTile>.Threads);

    private static KernelConfig MergeGroups(in DecodeArguments shape, in AttentionExtent extent) =>
        KernelLoader.Groups(MergeKernel.GroupCount(shape, extent.Batch), ThreadPosition<TTile>.Threads);

    private static long SumBytes(in DecodeArguments shape, in AttentionExtent extent) =>
        checked(MergeKernel.GroupCount(shape, extent.Batch) * shape.Parts * sizeof(float));

    private static long OutputBytes(in DecodeArguments shape, in AttentionExtent extent) =>
        checked(SumBytes(shape, extent) * shape.Attention.ValueHeadSize);

    private DecodeArguments Arguments(in AttentionExtent extent)
    {
        AttentionArguments attention = AttentionLayouts.Arguments(_signature, extent);
        attention.QueryLength = Math.Min(extent.QueryLength, DecodeArguments.MaxQueries);
        return new DecodeArguments
        {
            Attention = attention,
            Parts = TileCount.DivideUp(extent.Sequence.KeyLength, DecodeArguments.PartKeys),
        };
    }

    private void Load()
    {
        _part ??= _loader.Load<Action<AcceleratorStream, KernelConfig, DecodeArguments, ContiguousRows<TElement>, TKeyValues, TKeyValues,
            ArrayView<Sequence>, TRange, TVariant>>(DecodeKernel.Part<TTile, TElement, TKeyValues, TRange, TVariant>);
        _merge ??= _loader.Load<Action<AcceleratorStream, KernelConfig, DecodeArguments, ArrayView<TElement>, AttentionTables, TRange>>(
            MergeKernel.Merge<TElement, TRange>);
    }
}
