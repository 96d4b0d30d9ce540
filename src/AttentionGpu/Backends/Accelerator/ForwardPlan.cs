using AttentionGpu.Kernels.Attention;
using AttentionGpu.Kernels.Fragments;
using AttentionGpu.Kernels.Masks;
using AttentionGpu.Kernels.Reductions;
using AttentionGpu.Kernels.Tiles;
using AttentionGpu.Problems;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The fused attention kernel in one specialisation.</summary>
internal sealed class ForwardPlan<TTile, TValues, TReduction, TMask> : IPlan<AttentionBuffers>
    where TTile : struct, ITile
    where TValues : struct, IFragment
    where TReduction : struct, IRowReduction
    where TMask : struct, IAttentionMask
{
    private readonly Action<AcceleratorStream, KernelConfig, AttentionShape, ArrayView<float>, ArrayView<float>, ArrayView<float>,
        ArrayView<float>, TMask> _kernel;

    private readonly KernelLoader _loader;
    private readonly KernelConfig _config;
    private readonly AttentionShape _shape;
    private readonly MaskBinder<TMask> _mask;

    public ForwardPlan(AttentionProblem problem, KernelLoader loader, MaskBinder<TMask> mask)
    {
        _loader = loader;
        _mask = mask;
        _shape = AttentionLayouts.Shape(problem);
        _config = KernelLoader.Groups(
            AttentionKernel.GroupCount<TTile, TValues>(_shape, problem.Batch), ThreadPosition<TTile>.Threads);
        _kernel = loader.Load<ForwardPlan<TTile, TValues, TReduction, TMask>, Action<AcceleratorStream, KernelConfig, AttentionShape,
            ArrayView<float>, ArrayView<float>, ArrayView<float>, ArrayView<float>, TMask>>(
            accelerator => accelerator.LoadKernel<AttentionShape, ArrayView<float>, ArrayView<float>, ArrayView<float>,
                ArrayView<float>, TMask>(AttentionKernel.Forward<TTile, TValues, TReduction, TMask>));
    }

    public void Execute(in AttentionBuffers buffers)
    {
        using (_loader.Enter())
        {
            _kernel(
                _loader.Stream, _config, _shape,
                buffers.Query.View<float>(), buffers.Key.View<float>(), buffers.Value.View<float>(), buffers.Output.View<float>(),
                _mask(buffers));
        }
    }
}
