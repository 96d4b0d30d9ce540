using AttentionGpu.Kernels.Attention;
using AttentionGpu.Kernels.Elements;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Ranges;
using AttentionGpu.Kernels.Reductions;
using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Kernels.Variants;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The fused attention kernel in one specialisation.</summary>
internal sealed class ForwardPlan<TTile, TValues, TReduction, TElement, TRange, TVariant> : IPlan<AttentionBuffers>
    where TTile : struct, ITile
    where TValues : struct, IFragment
    where TReduction : struct, IRowReduction
    where TElement : unmanaged, IElement<TElement>
    where TRange : struct, IKeyRange
    where TVariant : struct, IScoreVariant
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionShape, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>,
        ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly AttentionShape _shape;
    private readonly TRange _range;
    private readonly VariantBinder<TVariant> _variant;

    public ForwardPlan(AttentionProblem problem, KernelLoader loader, TRange range, VariantBinder<TVariant> variant)
    {
        _loader = loader;
        _range = range;
        _variant = variant;
        _shape = AttentionLayouts.Shape(problem);
        _config = KernelLoader.Groups(
            AttentionKernel.GroupCount<TTile, TValues>(_shape, problem.Batch), ThreadPosition<TTile>.Threads);
        _kernel = loader.Load<ForwardPlan<TTile, TValues, TReduction, TElement, TRange, TVariant>, Action<AcceleratorStream, KernelConfig,
            AttentionShape, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>, AttentionTables, TRange,
            TVariant>>(
            accelerator => accelerator.LoadKernel<AttentionShape, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>,
                ArrayView<TElement>, AttentionTables, TRange, TVariant>(
                AttentionKernel.Forward<TTile, TValues, TReduction, TElement, TRange, TVariant>));
    }

    public void Execute(in AttentionBuffers buffers)
    {
        using (_loader.Enter())
        {
            _kernel(
                _loader.Stream, _config, _shape,
                buffers.Query.View<TElement>(), buffers.Key.View<TElement>(), buffers.Value.View<TElement>(), buffers.Output.View<TElement>(),
                AttentionLayouts.Tables(buffers), _range, _variant(buffers));
        }
    }
}
