using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using AttentionGpu.Backends;
using AttentionGpu.Problems;

namespace AttentionGpu.Memory;

/// <summary>
/// The memory of one call with host tensors. On a backend that computes in host memory, dense tensors are used where they are (the
/// caller pins them); everything else goes through memory from the pool, which <see cref="Dispose"/> returns.
/// </summary>
internal ref struct HostCall(IAttentionBackend backend)
{
    private Rented _rented;
    private int _count;

    /// <summary>An input, on the device.</summary>
    /// <param name="tensor">The host's tensor.</param>
    /// <param name="pinned">The address of its first element, pinned for the call.</param>
    public unsafe DeviceMemory Input<T>(in ReadOnlyTensorSpan<T> tensor, void* pinned)
        where T : unmanaged
    {
        if (backend.UsesHostMemory && tensor.IsDense)
            return DeviceMemory.OnHost(null, (nint)pinned, (long)tensor.FlattenedLength * Unsafe.SizeOf<T>());
        DeviceMemory memory = Rent((long)tensor.FlattenedLength * Unsafe.SizeOf<T>());
        HostCopy.Upload(backend, tensor, memory);
        return memory;
    }

    /// <summary>A mask, on the device: whichever of its two tensors it has.</summary>
    public unsafe DeviceMemory Mask(AttentionMask mask, void* pinnedBoolean, void* pinnedAdditive) => mask.Kind switch
    {
        MaskKind.Boolean => Input(mask.Boolean, pinnedBoolean),
        MaskKind.Additive => Input(mask.Additive, pinnedAdditive),
        _ => default,
    };

    /// <summary>Memory for an output; <see cref="Finish"/> brings it to the host.</summary>
    public unsafe DeviceMemory Output(in TensorSpan<float> tensor, void* pinned) =>
        backend.UsesHostMemory && tensor.IsDense
            ? DeviceMemory.OnHost(null, (nint)pinned, (long)tensor.FlattenedLength * sizeof(float))
            : Rent((long)tensor.FlattenedLength * sizeof(float));

    /// <summary>Waits for an output and copies it to its host tensor, where it is not there already.</summary>
    public readonly void Finish(in TensorSpan<float> tensor, DeviceMemory memory)
    {
        if (!backend.UsesHostMemory || !tensor.IsDense)
            HostCopy.Download(backend, memory, tensor);
    }

    /// <summary>Memory that lasts until the call ends.</summary>
    public DeviceMemory Rent(long byteLength)
    {
        DeviceMemory memory = backend.Rent(byteLength);
        _rented[_count++] = memory;
        return memory;
    }

    public readonly void Dispose()
    {
        for (int i = 0; i < _count; i++)
            backend.Return(_rented[i]);
    }

    /// <summary>
    /// Throws where an output shares memory with an input. Strided tensors are judged by the whole range that they span.
    /// </summary>
    public static void RequireDistinct<T>(
        in TensorSpan<float> output, in ReadOnlyTensorSpan<T> input, string outputName, string inputName)
        where T : unmanaged
    {
        if (output.FlattenedLength == 0 || input.FlattenedLength == 0)
            return;
        ref readonly byte outputStart = ref Unsafe.As<float, byte>(ref output.GetPinnableReference());
        ref readonly byte inputStart = ref Unsafe.As<T, byte>(ref Unsafe.AsRef(in input.GetPinnableReference()));
        nint distance = Unsafe.ByteOffset(in outputStart, in inputStart);
        bool overlaps = distance >= 0
            ? distance < SpannedBytes<float>(output.Lengths, output.Strides)
            : -distance < SpannedBytes<T>(input.Lengths, input.Strides);
        if (overlaps)
            throw Operators.Shape.OverlapError(outputName, inputName);
    }

    private static nint SpannedBytes<T>(ReadOnlySpan<nint> lengths, ReadOnlySpan<nint> strides)
    {
        nint last = 0;
        for (int axis = 0; axis < lengths.Length; axis++)
            last += (lengths[axis] - 1) * strides[axis];
        return (last + 1) * Unsafe.SizeOf<T>();
    }

    // Enough for query, key, value, mask, padding, output, weights and the four buffers between a layer's steps.
    [InlineArray(12)]
    private struct Rented
    {
        private DeviceMemory _first;
    }
}
