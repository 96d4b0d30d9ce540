using System.Diagnostics.CodeAnalysis;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// A tensor that an operator reads: in host memory, or a <see cref="DeviceTensor{T}"/> of the engine. Both convert to it. The default
/// value is no
/// tensor.
/// </summary>
/// <typeparam name="T">The type of an element.</typeparam>
public readonly ref struct TensorInput<T>
    where T : unmanaged
{
    internal readonly ReadOnlyTensorSpan<T> Host;
    internal readonly DeviceTensor<T>? Device;

    /// <summary>A tensor in host memory, dense or strided. It must not change during the call.</summary>
    public TensorInput(ReadOnlyTensorSpan<T> tensor)
    {
        Host = tensor;
    }

    /// <summary>A tensor on the engine's device; null for none.</summary>
    public TensorInput(DeviceTensor<T>? tensor)
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

    /// <summary>Whether a backend that computes in host memory can read its rows where they are.</summary>
    internal bool HasContiguousRows
    {
        get
        {
            ReadOnlySpan<nint> strides = Strides;
            return strides.IsEmpty || strides[^1] == 1 || Lengths[^1] == 1;
        }
    }

    /// <summary>A tensor in host memory.</summary>
    public static implicit operator TensorInput<T>(ReadOnlyTensorSpan<T> tensor) => new(tensor);

    /// <summary>A tensor in host memory.</summary>
    public static implicit operator TensorInput<T>(TensorSpan<T> tensor) => new(tensor.AsReadOnlyTensorSpan());

    /// <summary>A tensor in host memory; null for none.</summary>
    public static implicit operator TensorInput<T>(Tensor<T>? tensor) => tensor is null ? default : new(tensor.AsReadOnlyTensorSpan());

    /// <summary>A tensor on the engine's device; null for none.</summary>
    public static implicit operator TensorInput<T>(DeviceTensor<T>? tensor) => new(tensor);

    /// <summary>Whether it is the same memory, seen in the same way.</summary>
    internal bool IsSame(in TensorInput<T> other) =>
        Device is not null || other.Device is not null
            ? Device is not null && other.Device is not null && Device.IsSame(other.Device)
            : Unsafe.AreSame(in Host.GetPinnableReference(), in other.Host.GetPinnableReference())
                && Host.Lengths.SequenceEqual(other.Host.Lengths)
                && Host.Strides.SequenceEqual(other.Host.Strides);
}
