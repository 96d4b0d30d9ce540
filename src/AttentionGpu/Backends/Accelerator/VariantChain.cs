using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>Makes a problem's variant from the memory it runs on.</summary>
internal delegate TVariant VariantBinder<TVariant>(in AttentionBuffers buffers)
    where TVariant : struct, IScoreVariant;

/// <summary>The variants of a problem so far, in the order in which they change a score.</summary>
internal readonly struct VariantChain<TVariant>(AttentionProblem problem, VariantBinder<TVariant> bind)
    where TVariant : struct, IScoreVariant
{
    /// <summary>Makes the chain from a call's memory.</summary>
    public VariantBinder<TVariant> Bind => bind;

    public VariantChain<VariantPair<TVariant, Softcap>> AddSoftcap()
    {
        float cap = problem.Softcap;
        return Add((in AttentionBuffers _) => new Softcap { Cap = cap });
    }

    public VariantChain<VariantPair<TVariant, Alibi>> AddAlibi() =>
        Add((in AttentionBuffers buffers) => new Alibi { Slopes = buffers.AlibiSlopes.View<float>() });

    public VariantChain<VariantPair<TVariant, AdditiveBias>> AddBias()
    {
        MaskStrides strides = Strides(problem.Bias!.Value);
        return Add((in AttentionBuffers buffers) => new AdditiveBias { Data = buffers.Bias.View<float>(), Strides = strides });
    }

    public VariantChain<VariantPair<TVariant, BooleanMask>> AddMask()
    {
        MaskStrides strides = Strides(problem.Mask!.Value);
        return Add((in AttentionBuffers buffers) => new BooleanMask { Data = buffers.Mask.View<byte>(), Strides = strides });
    }

    public VariantChain<VariantPair<TVariant, DocumentMask>> AddDocuments()
    {
        (int queries, int keys) = (problem.QueryLength, problem.KeyLength);
        return Add((in AttentionBuffers buffers) => new DocumentMask
        {
            Queries = buffers.QueryDocuments.View<int>(),
            Keys = buffers.KeyDocuments.View<int>(),
            QueryPitch = queries,
            KeyPitch = keys,
        });
    }

    public VariantChain<VariantPair<TVariant, KeyPaddingMask>> AddKeyPadding()
    {
        int keys = problem.KeyLength;
        return Add((in AttentionBuffers buffers) => new KeyPaddingMask { Data = buffers.KeyPadding.View<byte>(), Pitch = keys });
    }

    private VariantChain<VariantPair<TVariant, TNext>> Add<TNext>(VariantBinder<TNext> next)
        where TNext : struct, IScoreVariant
    {
        VariantBinder<TVariant> first = bind;
        return new(problem, (in AttentionBuffers buffers) => new() { First = first(buffers), Second = next(buffers) });
    }

    private static MaskStrides Strides(MaskLayout layout) =>
        new() { Batch = layout.Batch, Head = layout.Head, Query = layout.Query, Key = layout.Key };
}
