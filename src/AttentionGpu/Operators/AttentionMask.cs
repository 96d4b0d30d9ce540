using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <summary>
/// A mask over (query, key) pairs in host memory. It has rank 1 to 4 and broadcasts to [batch, heads, query length, key length] by
/// NumPy's rules. Boolean: true lets the query see the key, as in PyTorch's <c>scaled_dot_product_attention</c> and the ONNX
/// <c>Attention</c> operator (PyTorch's <c>nn.MultiheadAttention</c> means the opposite). Additive: added to the scaled score; -inf hides
/// the key. The default value is no mask.
/// </summary>
public readonly ref struct AttentionMask
{
    private readonly ReadOnlyTensorSpan<bool> _boolean;
    private readonly ReadOnlyTensorSpan<float> _additive;

    /// <summary>A boolean mask.</summary>
    public AttentionMask(ReadOnlyTensorSpan<bool> visible)
    {
        _boolean = visible;
        Kind = MaskKind.Boolean;
    }

    /// <summary>An additive mask.</summary>
    public AttentionMask(ReadOnlyTensorSpan<float> bias)
    {
        _additive = bias;
        Kind = MaskKind.Additive;
    }

    internal MaskKind Kind { get; }

    internal ReadOnlyTensorSpan<bool> Boolean => _boolean;

    internal ReadOnlyTensorSpan<float> Additive => _additive;

    [UnscopedRef]
    internal ReadOnlySpan<nint> Lengths => Kind == MaskKind.Boolean ? _boolean.Lengths : _additive.Lengths;
}
