using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Operators;

namespace AttentionGpu.Memory;

/// <summary>
/// The memory of one call. Tensors on the device are used where they are; so are tensors in host memory on a backend that computes there
/// (the caller pins them), if they are contiguous. Everything else goes through memory from the pool, which <see cref="Dispose"/> returns.
/// </summary>
internal ref struct CallMemory(AttentionEngine engine)
{
    private Rented _rented;
    private int _count;

    /// <summary>An input, on the device; nothing where there is none.</summary>
    /// <param name="tensor">The tensor.</param>
    /// <param name="pinned">The address of its first element, pinned for the call, if it is in host memory.</param>
    /// <param name="name">What it is called.</param>
    /// <param name="strided">Whether rows that are contiguous stay where they are, whatever the other strides.</param>
    public unsafe DeviceMemory Input<T>(in TensorInput<T> tensor, void* pinned, string name, bool strided = false)
        where T : unmanaged
    {
        if (!tensor.IsPresent)
            return default;
        if (tensor.Device is not null)
            return engine.RequireMine(tensor.Device, name);
        if (IsUsedInPlace(tensor, strided))
            return DeviceMemory.OnHost(null, (nint)pinned, SpannedBytes(tensor));
        ReadOnlyTensorSpan<T> host = tensor.Host;
        DeviceMemory memory = Rent((long)host.FlattenedLength * Unsafe.SizeOf<T>());
        HostCopy.Upload(engine.Backend, host, memory);
        return memory;
    }

    /// <summary>Numbers of the host, on the device; nothing where there are none.</summary>
    public DeviceMemory Input<T>(T[]? values)
        where T : unmanaged
    {
        if (values is null)
            return default;
        DeviceMemory memory = Rent((long)values.Length * Unsafe.SizeOf<T>());
        HostCopy.Upload(engine.Backend, new ReadOnlyTensorSpan<T>(values), memory);
        return memory;
    }

    /// <summary>Memory for an output; <see cref="Finish"/> brings it to the host. Parameters as for <see cref="Input{T}(in TensorInput{T}, void*, string, bool)"/>.</summary>
    public unsafe DeviceMemory Output<T>(in TensorOutput<T> tensor, void* pinned, string name, bool strided = false)
        where T : unmanaged
    {
        if (!tensor.IsPresent)
            return default;
        if (tensor.Device is not null)
            return engine.RequireMine(tensor.Device, name);
        return IsUsedInPlace(tensor.AsInput(), strided)
            ? DeviceMemory.OnHost(null, (nint)pinned, SpannedBytes(tensor.AsInput()))
            : Rent((long)tensor.Host.FlattenedLength * Unsafe.SizeOf<T>());
    }

    /// <summary>Waits for an output and copies it to its host tensor, where it is not there already.</summary>
    public readonly void Finish<T>(in TensorOutput<T> tensor, DeviceMemory memory, bool strided = false)
        where T : unmanaged
    {
        if (tensor.IsPresent && tensor.Device is null && !IsUsedInPlace(tensor.AsInput(), strided))
            HostCopy.Download(engine.Backend, memory, tensor.Host);
    }

    /// <summary>Memory that lasts until the call ends.</summary>
    public DeviceMemory Rent(long byteLength)
    {
        DeviceMemory memory = engine.Backend.Rent(byteLength);
        _rented[_count++] = memory;
        return memory;
    }

    public readonly void Dispose()
    {
        for (int i = 0; i < _count; i++)
            engine.Backend.Return(_rented[i]);
    }

    /// <summary>
    /// Throws where an output shares memory with another tensor. Strided tensors are judged by the whole range that they span.
    /// </summary>
    public static void RequireDistinct<TOutput, TInput>(
        in TensorOutput<TOutput> output, in TensorInput<TInput> input, string outputName, string inputName)
        where TOutput : unmanaged
        where TInput : unmanaged
    {
        if (!output.IsPresent || !input.IsPresent)
            return;
        if (output.Device is not null || input.Device is not null)
        {
            if (ReferenceEquals(output.Device, input.Device))
                throw ShapeRules.OverlapError(outputName, inputName);
            return;
        }

        TensorSpan<TOutput> target = output.Host;
        ReadOnlyTensorSpan<TInput> source = input.Host;
        if (target.FlattenedLength == 0 || source.FlattenedLength == 0)
            return;
        ref readonly byte outputStart = ref Unsafe.As<TOutput, byte>(ref target.GetPinnableReference());
        ref readonly byte inputStart = ref Unsafe.As<TInput, byte>(ref Unsafe.AsRef(in source.GetPinnableReference()));
        nint distance = Unsafe.ByteOffset(in outputStart, in inputStart);
        if (distance >= 0 ? distance < SpannedBytes(output.AsInput()) : -distance < SpannedBytes(input))
            throw ShapeRules.OverlapError(outputName, inputName);
    }

    private readonly bool IsUsedInPlace<T>(in TensorInput<T> tensor, bool strided)
        where T : unmanaged =>
        engine.Backend.UsesHostMemory && (tensor.Strides.IsEmpty || (strided && tensor.HasContiguousRows));

    private static nint SpannedBytes<T>(in TensorInput<T> tensor)
        where T : unmanaged
    {
        ReadOnlyTensorSpan<T> host = tensor.Host;
        nint last = 0;
        for (int axis = 0; axis < host.Rank; axis++)
        {
            if (host.Lengths[axis] == 0)
                return 0;
            last += (host.Lengths[axis] - 1) * host.Strides[axis];
        }

        return (last + 1) * Unsafe.SizeOf<T>();
    }

    // Enough for all of attention's inputs and outputs, and what lies between its steps.
    [InlineArray(32)]
    private struct Rented
    {
        private DeviceMemory _first;
    }
}
