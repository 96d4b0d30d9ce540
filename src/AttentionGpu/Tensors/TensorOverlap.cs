using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace AttentionGpu.Tensors;

/// <summary>Refuses outputs that share memory with another tensor, or in which several elements share memory.</summary>
internal static class TensorOverlap
{
    // A call of attention has tensors of 4 axes at most, and allocates nothing.
    private const int MostAxes = 8;

    /// <summary>
    /// Throws where an output shares memory with another tensor. Strided tensors are judged by the whole range that they span. A tensor on
    /// a device that computes in host memory may share memory with one of the host.
    /// </summary>
    public static void RequireDistinct<TOutput, TInput>(
        in TensorOutput<TOutput> output, in TensorInput<TInput> input, string outputName, string inputName)
        where TOutput : unmanaged
        where TInput : unmanaged
    {
        if (!output.IsPresent || !input.IsPresent)
            return;
        if (output.Device is not null && input.Device is not null)
        {
            if (output.Device.Overlaps(input.Device))
                throw ShapeRules.OverlapError(outputName, inputName);
            return;
        }

        if (output.Device is null && input.Device is null ? Overlap(output.AsInput(), input)
            : output.Device is not null ? Overlap(input, output.Device)
            : Overlap(output.AsInput(), input.Device!))
        {
            throw ShapeRules.OverlapError(outputName, inputName);
        }
    }

    /// <summary>Throws where several elements of an output have the same place in memory: only the last of them would be there.</summary>
    public static void RequireOwnElements<T>(in TensorOutput<T> output, string name)
        where T : unmanaged
    {
        // A part of a device tensor has a place for each element.
        if (!output.IsPresent || output.Device is not null || output.Strides.IsEmpty || output.Host.FlattenedLength == 0)
            return;
        ReadOnlySpan<nint> lengths = output.Host.Lengths;
        ReadOnlySpan<nint> strides = output.Host.Strides;

        // From the axis of the smallest stride on, each must step over all elements of the axes before it.
        Span<nint> steps = lengths.Length <= MostAxes ? stackalloc nint[MostAxes] : new nint[lengths.Length];
        Span<nint> counts = lengths.Length <= MostAxes ? stackalloc nint[MostAxes] : new nint[lengths.Length];
        steps = steps[..lengths.Length];
        counts = counts[..lengths.Length];
        strides.CopyTo(steps);
        lengths.CopyTo(counts);
        steps.Sort(counts);
        nint spanned = 1;
        for (int axis = 0; axis < steps.Length; axis++)
        {
            if (counts[axis] == 1)
                continue;
            if (steps[axis] < spanned)
            {
                throw BadInput.Because(
                    name,
                    $"The tensor '{name}' must have a place in memory for each of its elements; "
                    + $"its lengths are {ShapeRules.Format(lengths)}, its strides {ShapeRules.Format(strides)}.");
            }

            spanned += (counts[axis] - 1) * steps[axis];
        }
    }

    /// <summary>Whether a host tensor and one on the device have bytes in common; never where the device has memory of its own.</summary>
    public static bool Overlap<T>(in TensorInput<T> host, DeviceTensor device)
        where T : unmanaged
    {
        if (!device.TryGetHostRange(out nint address, out long byteLength) || host.Host.FlattenedLength == 0)
            return false;

        // Memory of the host that an engine has an address of does not move, so that what moves is other memory.
        nint start = AddressOf(ref Unsafe.AsRef(in host.Host.GetPinnableReference()));
        return start < address + byteLength && address < start + SpannedBytes(host);
    }

    /// <summary>Bytes from a host tensor's first element to its last.</summary>
    public static nint SpannedBytes<T>(in TensorInput<T> tensor)
        where T : unmanaged => ShapeRules.Span(tensor.Host.Lengths, tensor.Host.Strides) * Unsafe.SizeOf<T>();

    /// <summary>
    /// Whether an output begins with the elements of an input, in their own memory: both start at the same place, and have the same
    /// strides. They have as many axes, and the output is as long as the input on each or longer.
    /// </summary>
    public static bool Continues<T>(in TensorOutput<T> output, in TensorInput<T> input)
        where T : unmanaged
    {
        if (!output.IsPresent || !input.IsPresent || input.Lengths.Contains(0))
            return false;
        if (output.Device is not null
            ? input.Device is null || !output.Device.StartsWith(input.Device)
            : input.Device is not null || !Unsafe.AreSame(in output.Host.GetPinnableReference(), in input.Host.GetPinnableReference()))
            return false;
        ReadOnlySpan<nint> lengths = input.Lengths;
        Span<nint> steps = stackalloc nint[MostAxes];
        Span<nint> own = stackalloc nint[MostAxes];
        ShapeRules.StridesOf(output.Lengths, output.Strides, steps);
        ShapeRules.StridesOf(lengths, input.Strides, own);
        for (int axis = 0; axis < lengths.Length; axis++)
        {
            // The stride of an axis of one element does not matter.
            if (lengths[axis] > 1 && steps[axis] != own[axis])
                return false;
        }

        return true;
    }

    private static bool Overlap<TFirst, TSecond>(in TensorInput<TFirst> first, in TensorInput<TSecond> second)
        where TFirst : unmanaged
        where TSecond : unmanaged
    {
        ReadOnlyTensorSpan<TFirst> target = first.Host;
        ReadOnlyTensorSpan<TSecond> source = second.Host;
        if (target.FlattenedLength == 0 || source.FlattenedLength == 0)
            return false;
        ref readonly byte firstStart = ref Unsafe.As<TFirst, byte>(ref Unsafe.AsRef(in target.GetPinnableReference()));
        ref readonly byte secondStart = ref Unsafe.As<TSecond, byte>(ref Unsafe.AsRef(in source.GetPinnableReference()));
        nint distance = Unsafe.ByteOffset(in firstStart, in secondStart);
        return distance >= 0 ? distance < SpannedBytes(first) : -distance < SpannedBytes(second);
    }

    private static unsafe nint AddressOf<T>(ref T element)
        where T : unmanaged => (nint)Unsafe.AsPointer(ref element);
}
