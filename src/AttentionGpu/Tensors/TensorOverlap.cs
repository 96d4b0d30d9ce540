using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Tensors;

/// <summary>Refuses outputs that share memory with another tensor.</summary>
internal static class TensorOverlap
{
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
            if (output.Device is not null && input.Device is not null && output.Device.Overlaps(input.Device))
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

    /// <summary>Bytes from a host tensor's first element to its last.</summary>
    public static nint SpannedBytes<T>(in TensorInput<T> tensor)
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
}
