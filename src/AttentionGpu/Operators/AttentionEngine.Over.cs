using System.Runtime.CompilerServices;
using AttentionGpu.Memory;
using AttentionGpu.Tensors;
using ILGPU;
using ILGPU.Runtime;

namespace AttentionGpu;

/// <content>Tensors over memory that the caller owns on the device.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// A tensor over an ILGPU buffer of the engine's accelerator, without a copy: for a service that has its data on the device already.
    /// Make the
    /// engine over the same accelerator (<see cref="AttentionEngine(Accelerator, AttentionEngineOptions)"/>).
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="System.Half"/>, <see cref="BFloat16"/> or <see cref="bool"/>.</typeparam>
    /// <param name="view">
    /// The elements, dense and row-major. The buffer must outlive the tensor and the calls that use it. The tensor does not own it and
    /// does not count in
    /// <see cref="MemoryInUse"/>.
    /// </param>
    /// <param name="lengths">The length of each axis; their product is the length of the view.</param>
    /// <param name="stream">
    /// The stream whose work writes the elements; the engine waits for that work before it returns. Null where it is done. Before the
    /// caller reads an
    /// output, it waits by <see cref="Synchronize"/>.
    /// </param>
    /// <exception cref="ArgumentException">The lengths do not fit the view, or the buffer is another accelerator's.</exception>
    /// <exception cref="NotSupportedException">The engine's device is not driven by ILGPU, or the element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public DeviceTensor<T> Over<T>(ArrayView<T> view, ReadOnlySpan<nint> lengths, AcceleratorStream? stream = null)
        where T : unmanaged
    {
        using var call = new CallMemory(Lifetime);
        RequireElement<T>();
        ShapeRules.RequireCounts(lengths, nameof(lengths));
        if (!view.IsValid || ShapeRules.Count(lengths) != view.Length)
        {
            throw new ArgumentException(
                $"'lengths' must have the {view.Length} elements of the view; it is {ShapeRules.Format(lengths)}.", nameof(lengths));
        }

        DeviceMemory memory = Lifetime.Memory.WrapView(view.Cast<byte>());
        stream?.Synchronize();
        return Over<T>(memory, lengths);
    }

    /// <summary>
    /// A tensor over memory at an address, without a copy: a CUDA device pointer of the engine's context, or an address in host memory
    /// where the device
    /// computes there (<c>simd</c>, <c>reference</c>). Otherwise as the other overload.
    /// </summary>
    /// <typeparam name="T"><see cref="float"/>, <see cref="System.Half"/>, <see cref="BFloat16"/> or <see cref="bool"/>.</typeparam>
    /// <param name="address">
    /// The first element; a multiple of the element's size. The memory must outlive the tensor and the calls that use it.
    /// </param>
    /// <param name="lengths">The length of each axis.</param>
    /// <param name="stream">
    /// The stream whose work writes the elements; the engine waits for that work before it returns. Null where it is done.
    /// </param>
    /// <exception cref="ArgumentException">The address is not aligned, or is not of the engine's context.</exception>
    /// <exception cref="NotSupportedException">
    /// The device has no addresses (OpenCL, the emulator), or the element type is another.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public DeviceTensor<T> Over<T>(nint address, ReadOnlySpan<nint> lengths, AcceleratorStream? stream = null)
        where T : unmanaged
    {
        using var call = new CallMemory(Lifetime);
        RequireElement<T>();
        ShapeRules.RequireCounts(lengths, nameof(lengths));
        if (address == 0 || address % Unsafe.SizeOf<T>() != 0)
            throw new ArgumentException($"'address' must be a multiple of {Unsafe.SizeOf<T>()} and not 0; it is {address}.", nameof(address));
        DeviceMemory memory = Lifetime.Memory.WrapAddress(address, checked(ShapeRules.Count(lengths) * Unsafe.SizeOf<T>()));
        stream?.Synchronize();
        return Over<T>(memory, lengths);
    }

    // The caller's memory is not returned to the pool.
    private DeviceTensor<T> Over<T>(DeviceMemory memory, ReadOnlySpan<nint> lengths)
        where T : unmanaged => new(new Memory.SharedMemory(Lifetime, memory, released: static () => { }), lengths);
}
