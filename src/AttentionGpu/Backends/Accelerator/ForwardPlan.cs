using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Attention;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
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
    private readonly Action<AcceleratorStream, KernelConfig, AttentionArguments, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>,
        ArrayView<TElement>, AttentionTables, TRange, TVariant> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly AttentionArguments _shape;
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
            AttentionArguments, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>, AttentionTables, TRange,
            TVariant>>(
            accelerator => accelerator.LoadKernel<AttentionArguments, ArrayView<TElement>, ArrayView<TElement>, ArrayView<TElement>,
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
