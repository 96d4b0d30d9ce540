using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// A tensor that an operator writes: in host memory, or a <see cref="DeviceTensor{T}"/> of the engine. Both convert to it. The default
/// value is no
/// tensor.
/// </summary>
/// <typeparam name="T">The type of an element.</typeparam>
public readonly ref struct TensorOutput<T>
    where T : unmanaged
{
    internal readonly TensorSpan<T> Host;
    internal readonly DeviceTensor<T>? Device;

    /// <summary>A tensor in host memory, dense or strided, that has been written when the call returns.</summary>
    public TensorOutput(TensorSpan<T> tensor)
    {
        Host = tensor;
    }

    /// <summary>A tensor on the engine's device; null for none.</summary>
    public TensorOutput(DeviceTensor<T>? tensor)
    {
        Device = tensor;
    }

    /// <summary>Whether there is a tensor at all.</summary>
    public bool IsPresent => Device is not null || Host.Rank != 0;

    [UnscopedRef]
    internal ReadOnlySpan<nint> Lengths => Device is null ? Host.Lengths : Device.Lengths;

    /// <summary>The strides where they are not those of a contiguous tensor; else empty.</summary>
    [UnscopedRef]
    internal ReadOnlySpan<nint> Strides =>
        Device is not null ? Device.Strides : ShapeRules.IsContiguous(Host.Lengths, Host.Strides) ? default : Host.Strides;

    /// <summary>A tensor in host memory.</summary>
    public static implicit operator TensorOutput<T>(TensorSpan<T> tensor) => new(tensor);

    /// <summary>A tensor in host memory; null for none.</summary>
    public static implicit operator TensorOutput<T>(Tensor<T>? tensor) => tensor is null ? default : new(tensor.AsTensorSpan());

    /// <summary>A tensor on the engine's device; null for none.</summary>
    public static implicit operator TensorOutput<T>(DeviceTensor<T>? tensor) => new(tensor);

    /// <summary>The same tensor, to read.</summary>
    internal TensorInput<T> AsInput() => Device is null ? Host.AsReadOnlyTensorSpan() : Device;
}
