using System.Numerics.Tensors;

namespace AttentionGpu;

/// <summary>
/// A mask over (query, key) pairs: boolean, additive, or both. Each has rank 1 to 4 and broadcasts to [batch, heads, query length, key
/// length] by NumPy's rules, except that its last axis may be shorter than the keys: the keys behind it are hidden, as the ONNX operator
/// <c>Attention</c> pads such masks (with false or -inf). A last axis of 1 is broadcast, not padded: the operator's shapes must be
/// broadcastable. Boolean: true lets the query see the key, as in PyTorch's <c>scaled_dot_product_attention</c> and the ONNX
/// <c>Attention</c> operator (PyTorch's <c>nn.MultiheadAttention</c> means the opposite). Additive: added to the scaled score; -inf hides
/// the key, whatever its score. Tensors of both kinds convert to it. The default value is no mask.
/// </summary>
public readonly ref struct AttentionMask
{
    internal readonly TensorInput<bool> Visible;
    internal readonly TensorInput<float> Bias;

    /// <summary>A boolean mask.</summary>
    public AttentionMask(TensorInput<bool> visible)
    {
        Visible = visible;
    }

    /// <summary>An additive mask.</summary>
    public AttentionMask(TensorInput<float> bias)
    {
        Bias = bias;
    }

    /// <summary>Both: a key is visible where both show it.</summary>
    public AttentionMask(TensorInput<bool> visible, TensorInput<float> bias)
    {
        Visible = visible;
        Bias = bias;
    }

    /// <summary>A boolean mask on the engine's device; null for none.</summary>
    public static implicit operator AttentionMask(DeviceTensor<bool>? visible) => new((TensorInput<bool>)visible);

    /// <summary>An additive mask on the engine's device; null for none.</summary>
    public static implicit operator AttentionMask(DeviceTensor<float>? bias) => new((TensorInput<float>)bias);

    /// <summary>A boolean mask in host memory; null for none.</summary>
    public static implicit operator AttentionMask(Tensor<bool>? visible) => new((TensorInput<bool>)visible);

    /// <summary>An additive mask in host memory; null for none.</summary>
    public static implicit operator AttentionMask(Tensor<float>? bias) => new((TensorInput<float>)bias);
}
