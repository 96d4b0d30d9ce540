using System.Runtime.CompilerServices;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Heads;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Picks the element type and the form of the rows of the kernel that copies, normalises and rotates rows.</summary>
internal static class HeadTransformPlanner
{
    public static IPlan<HeadTransformExtent, HeadTransformBuffers> Plan(HeadTransformSignature signature, KernelLoader loader) =>
        loader.Visit(signature.Element, new SourceElement(signature, loader));

    private sealed class SourceElement(HeadTransformSignature signature, KernelLoader loader)
        : IElementVisitor<IPlan<HeadTransformExtent, HeadTransformBuffers>>
    {
        public IPlan<HeadTransformExtent, HeadTransformBuffers> Visit<TSource>()
            where TSource : unmanaged, IElement<TSource> =>
            RowBinder.Visit(signature.Target, loader, new Target<TSource>(signature, loader));
    }

    private sealed class Target<TSource>(HeadTransformSignature signature, KernelLoader loader)
        : IRowVisitor<IPlan<HeadTransformExtent, HeadTransformBuffers>>
        where TSource : unmanaged, IElement<TSource>
    {
        public IPlan<HeadTransformExtent, HeadTransformBuffers> Visit<TRows>(IRowBinder<TRows> binder)
            where TRows : struct, IStoredRows => new HeadTransformPlan<TSource, TRows>(signature, loader, binder);
    }
}

/// <summary>The kernel that copies, normalises and rotates rows. It takes no workspace.</summary>
internal sealed class HeadTransformPlan<TSource, TTarget> : IPlan<HeadTransformExtent, HeadTransformBuffers>
    where TSource : unmanaged, IElement<TSource>
    where TTarget : struct, IStoredRows
{
    // Threads that keep a multiprocessor busy.
    private const int BusyThreads = 512;

    private readonly Action<AcceleratorStream, KernelConfig, HeadTransformArguments, ArrayView<TSource>, TTarget,
        ArrayView<SingleElement>, ArrayView<SingleElement>, ArrayView<SingleElement>, ArrayView<int>, ArrayView<Sequence>> _kernel;

    private readonly HeadTransformSignature _signature;
    private readonly KernelLoader _loader;
    private readonly IRowBinder<TTarget> _target;
    private readonly RowLaunch _fewRows;
    private readonly RowLaunch _manyRows;

    public HeadTransformPlan(HeadTransformSignature signature, KernelLoader loader, IRowBinder<TTarget> target)
    {
        _signature = signature;
        _loader = loader;
        _target = target;
        _fewRows = RowLaunch.For(loader.Accelerator, HeadTransformKernel.MaxThreads, signature.Size);
        _manyRows = RowLaunch.For(
            loader.Accelerator, HeadTransformKernel.MaxThreads, signature.Size, HeadTransformKernel.ThreadElements);
        _kernel = loader.Load<Action<AcceleratorStream, KernelConfig, HeadTransformArguments, ArrayView<TSource>, TTarget,
            ArrayView<SingleElement>, ArrayView<SingleElement>, ArrayView<SingleElement>, ArrayView<int>, ArrayView<Sequence>>>(
            HeadTransformKernel.Transform<TSource, TTarget>);
    }

    public long WorkspaceBytes(in HeadTransformExtent extent)
    {
        Groups(extent);
        return 0;
    }

    public void Execute(in HeadTransformExtent extent, in HeadTransformBuffers buffers, DeviceMemory workspace)
    {
        if (extent.IsEmpty)
            return;
        var arguments = new HeadTransformArguments
        {
            Length = extent.Length,
            Heads = extent.Heads,
            Size = _signature.Size,
            RotarySize = _signature.RotarySize,
            IsInterleaved = _signature.IsInterleaved ? 1 : 0,
            HasNorm = _signature.HasNorm ? 1 : 0,
            Epsilon = extent.NormEpsilon,
            HasPositions = _signature.HasPositions ? 1 : 0,
            FirstPosition = extent.FirstPosition,
            TableStride = extent.TableStride,
            HasSequences = _signature.HasSequences ? 1 : 0,
            RowsAreKeys = extent.RowsAreKeys ? 1 : 0,
            FollowsPast = _signature.FollowsPast ? 1 : 0,
            Rows = checked((int)RowCount(extent)),
            LaneShift = Launch(extent).LaneShift,
            IsAligned = IsAligned(extent, buffers) ? 1 : 0,
            Source = AttentionLayouts.Rows(extent.Source, extent.Heads),
        };
        TTarget target = _target.Rows(
            new RowMemory(buffers.Target, buffers.TargetScales, buffers.Pages, extent.PageShift, extent.Target, _signature.Size),
            extent.Heads, 1);
        using AcceleratorGate.Scope gate = _loader.Enter();
        _kernel(
            _loader.Stream, Groups(extent), arguments, buffers.Source.View<TSource>(), target,
            buffers.Norm.Or(buffers.Source).View<SingleElement>(), buffers.Cosine.Or(buffers.Source).View<SingleElement>(),
            buffers.Sine.Or(buffers.Source).View<SingleElement>(), buffers.Positions.Or(buffers.Source).View<int>(),
            buffers.Sequences.Or(buffers.Source).View<Sequence>());
    }

    private static long RowCount(in HeadTransformExtent extent) => (long)extent.Batch * extent.Heads * extent.Length;

    // A row's sum of squares must not depend on how many rows there are.
    private RowLaunch Launch(in HeadTransformExtent extent) =>
        _signature.HasNorm || RowCount(extent) << _manyRows.LaneShift >= (long)BusyThreads * _loader.Tiles.BusyGroups
            ? _manyRows
            : _fewRows;

    private KernelConfig Groups(in HeadTransformExtent extent) => Launch(extent).Groups(RowCount(extent));

    // Quantised rows are counted, not measured in elements: they are as far apart as they are long.
    private bool IsAligned(in HeadTransformExtent extent, in HeadTransformBuffers buffers) =>
        _signature.Size % RowLaunch.Elements == 0
        && (_signature.IsInterleaved || _signature.RotarySize % (2 * RowLaunch.Elements) == 0)
        && extent.Source.IsMultipleOf(RowLaunch.Elements)
        && buffers.Source.StartsAtMultipleOf(RowLaunch.Elements * Unsafe.SizeOf<TSource>())
        && (TTarget.HasScales || extent.Target.IsMultipleOf(RowLaunch.Elements))
        && buffers.Target.StartsAtMultipleOf(RowLaunch.Elements * sizeof(float))
        && buffers.Norm.StartsAtMultipleOf(RowLaunch.Elements * sizeof(float))
        && buffers.Cosine.StartsAtMultipleOf(RowLaunch.Elements * sizeof(float))
        && buffers.Sine.StartsAtMultipleOf(RowLaunch.Elements * sizeof(float));
}
