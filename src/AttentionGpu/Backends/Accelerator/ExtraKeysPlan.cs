using System.Numerics;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Tiles;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Picks the element type of the kernels that join extra keys.</summary>
internal static class ExtraKeysPlanner
{
    public static IPlan<ExtraKeysExtent, ExtraKeysBuffers> Plan(ExtraKeysSignature signature, KernelLoader loader) =>
        loader.Visit(signature.Element, new OfElement(signature, loader));

    private sealed class OfElement(ExtraKeysSignature signature, KernelLoader loader)
        : IElementVisitor<IPlan<ExtraKeysExtent, ExtraKeysBuffers>>
    {
        public IPlan<ExtraKeysExtent, ExtraKeysBuffers> Visit<TElement>()
            where TElement : unmanaged, IElement<TElement> => new ExtraKeysPlan<TElement>(signature, loader);
    }
}

/// <summary>
/// The kernels that join extra keys to a finished attention. The workspace has the numbers of rows whose scores are stored.
/// </summary>
internal sealed class ExtraKeysPlan<TElement> : IPlan<ExtraKeysExtent, ExtraKeysBuffers>
    where TElement : unmanaged, IElement<TElement>
{
    private readonly Action<AcceleratorStream, KernelConfig, ExtraKeysArguments, ArrayView<TElement>, ArrayView<TElement>,
        ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>, ArrayView<float>> _join;

    private readonly Action<AcceleratorStream, KernelConfig, ExtraKeysArguments, ArrayView<float>, ArrayView<TElement>,
        ArrayView<TElement>>? _store;

    private readonly ExtraKeysSignature _signature;
    private readonly KernelLoader _loader;
    private readonly int _threads;
    private readonly int _storeThreads;

    public ExtraKeysPlan(ExtraKeysSignature signature, KernelLoader loader)
    {
        _signature = signature;
        _loader = loader;
        _storeThreads = Math.Min(ExtraKeysKernel.MaxThreads, loader.Accelerator.MaxNumThreadsPerGroup);
        uint size = (uint)Math.Max(signature.HeadSize, signature.ValueHeadSize);
        _threads = Math.Min(1 << BitOperations.Log2((uint)_storeThreads), (int)BitOperations.RoundUpToPowerOf2(size));
        _join = loader.Load<Action<AcceleratorStream, KernelConfig, ExtraKeysArguments, ArrayView<TElement>, ArrayView<TElement>,
            ArrayView<TElement>, ArrayView<TElement>, ArrayView<float>, ArrayView<float>>>(ExtraKeysKernel.Join<TElement>);
        if (signature.Scores is not null)
        {
            _store = loader.Load<Action<AcceleratorStream, KernelConfig, ExtraKeysArguments, ArrayView<float>, ArrayView<TElement>,
                ArrayView<TElement>>>(ExtraKeysKernel.Store<TElement>);
        }
    }

    public long WorkspaceBytes(in ExtraKeysExtent extent)
    {
        KernelLoader.Groups(extent.Rows, _threads);
        if (_store is null)
            return 0;
        StoreGroups(extent);
        return NumberBytes(extent);
    }

    public void Execute(in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        var arguments = new ExtraKeysArguments
        {
            Length = extent.Length,
            Heads = extent.Heads,
            GroupSize = _signature.GroupSize,
            HeadSize = _signature.HeadSize,
            ValueHeadSize = _signature.ValueHeadSize,
            KeyLength = extent.KeyLength,
            HasKey = _signature.HasKey ? 1 : 0,
            HasZeroKey = _signature.HasZeroKey ? 1 : 0,
            Scale = extent.Scale,
            Softcap = _signature.HasSoftcap ? extent.Softcap : 0f,
            HasWeights = _signature.HasWeights ? 1 : 0,
            Averages = _signature.Scores == ScoreStage.AverageWeights ? 1 : 0,
            HasProducts = _signature.Scores == ScoreStage.Products ? 1 : 0,
            Query = AttentionLayouts.Rows(extent.Query, extent.Heads),
            Output = AttentionLayouts.Rows(extent.Output, extent.Heads),
            LogSumExp = AttentionLayouts.Rows(extent.LogSumExp, extent.Heads),
        };

        // Without scores the kernel is given no room for a row's numbers.
        ArrayView<float> numbers = _store is null
            ? buffers.LogSumExp.View<float>().SubView(0, 0)
            : workspace.Slice<byte>(0, NumberBytes(extent)).View<float>();
        using AcceleratorGate.Scope gate = _loader.Enter();
        _join(
            _loader.Stream, KernelLoader.Groups(extent.Rows, _threads), arguments, buffers.Query.View<TElement>(),
            buffers.Key.Or(buffers.Query).View<TElement>(), buffers.Value.Or(buffers.Query).View<TElement>(),
            buffers.Output.View<TElement>(), buffers.LogSumExp.View<float>(), numbers);
        _store?.Invoke(
            _loader.Stream, StoreGroups(extent), arguments, numbers, buffers.StoredScores.Or(buffers.Query).View<TElement>(),
            buffers.Scores.Slice<TElement>(0, extent.ScoreCount(_signature)).View<TElement>());
    }

    private static long NumberBytes(in ExtraKeysExtent extent) => extent.Rows * ExtraKeysKernel.RowNumbers * sizeof(float);

    private KernelConfig StoreGroups(in ExtraKeysExtent extent) =>
        KernelLoader.Groups(TileCount.DivideUp(extent.ScoreCount(_signature), _storeThreads), _storeThreads);
}
