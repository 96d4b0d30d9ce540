using System.Numerics;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Picks the element type of the kernel that joins attention over parts of the keys.</summary>
internal static class MergeStatesPlanner
{
    public static IPlan<MergeStatesExtent, MergeStatesBuffers> Plan(MergeStatesSignature signature, KernelLoader loader) =>
        loader.Visit(signature.Element, new OfElement(signature, loader));

    private sealed class OfElement(MergeStatesSignature signature, KernelLoader loader)
        : IElementVisitor<IPlan<MergeStatesExtent, MergeStatesBuffers>>
    {
        public IPlan<MergeStatesExtent, MergeStatesBuffers> Visit<TElement>()
            where TElement : unmanaged, IElement<TElement> => new MergeStatesPlan<TElement>(signature, loader);
    }
}

/// <summary>The kernel that joins attention over parts of the keys. It takes no workspace.</summary>
internal sealed class MergeStatesPlan<TElement> : IPlan<MergeStatesExtent, MergeStatesBuffers>
    where TElement : unmanaged, IElement<TElement>
{
    private readonly Action<AcceleratorStream, KernelConfig, MergeStatesArguments, ArrayView<TElement>, ArrayView<float>,
        ArrayView<TElement>, ArrayView<float>> _kernel;

    private readonly MergeStatesSignature _signature;
    private readonly KernelLoader _loader;
    private readonly int _threads;

    public MergeStatesPlan(MergeStatesSignature signature, KernelLoader loader)
    {
        _signature = signature;
        _loader = loader;
        int threads = Math.Min(MergeStatesKernel.MaxThreads, loader.Accelerator.MaxNumThreadsPerGroup);
        _threads = Math.Min(threads, (int)BitOperations.RoundUpToPowerOf2((uint)signature.ValueHeadSize));
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, MergeStatesArguments, ArrayView<TElement>, ArrayView<float>,
            ArrayView<TElement>, ArrayView<float>>>(MergeStatesKernel.Merge<TElement>);
    }

    public long WorkspaceBytes(in MergeStatesExtent extent)
    {
        KernelLoader.Groups(extent.Rows, _threads);
        return 0;
    }

    public void Execute(in MergeStatesExtent extent, in MergeStatesBuffers buffers, DeviceMemory workspace)
    {
        if (extent.Rows == 0)
            return;
        var arguments = new MergeStatesArguments
        {
            Parts = extent.Parts,
            Length = extent.Length,
            Rows = extent.Rows,
            ValueHeadSize = _signature.ValueHeadSize,
            HasLogSumExp = _signature.HasLogSumExp ? 1 : 0,
            Output = AttentionLayouts.Rows(extent.Output, extent.Heads),
            LogSumExp = AttentionLayouts.Rows(extent.LogSumExp, extent.Heads),
        };
        using AcceleratorGate.Scope gate = _loader.Enter();
        _kernel(
            _loader.Stream, KernelLoader.Groups(extent.Rows, _threads), arguments, buffers.Outputs.View<TElement>(),
            buffers.LogSumExps.View<float>(), buffers.Output.View<TElement>(), buffers.LogSumExp.Or(buffers.LogSumExps).View<float>());
    }
}
