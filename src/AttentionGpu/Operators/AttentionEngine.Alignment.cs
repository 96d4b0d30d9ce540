using System.Runtime.CompilerServices;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Where the tensors of a batch-invariant call start.</content>
public sealed partial class AttentionEngine
{
    // Tensor cores read pieces of 16 bytes. Elsewhere a tensor would be computed by other kernels, with other bits.
    private const int PieceBytes = 16;
    private const int PieceElementBytes = 2;

    private static void RequireAlignment<T>(
        in AttentionInputs<T> inputs, in AttentionOutputs<T> outputs, in AttentionBuffers buffers, in AttentionMemory memory,
        AttentionNames names)
        where T : unmanaged
    {
        RequireAlignment(inputs.Query, buffers.Query, names.Query);
        RequireAlignment(inputs.Key, buffers.Key, "key");
        RequireAlignment(inputs.Value, buffers.Value, "value");
        RequireAlignment(outputs.Output.AsInput(), buffers.Output, "output");
        RequireAlignment(outputs.PresentKey.AsInput(), memory.PresentKey, "presentKey");
        RequireAlignment(outputs.PresentValue.AsInput(), memory.PresentValue, "presentValue");
    }

    private static void RequireAlignment<T>(TensorInput<T> tensor, DeviceMemory memory, string name)
        where T : unmanaged
    {
        // Rows that are not in whole pieces never go to tensor cores.
        if (Unsafe.SizeOf<T>() != PieceElementBytes || !tensor.IsPresent || tensor.Lengths is []
            || tensor.Lengths[^1] * PieceElementBytes % PieceBytes != 0)
            return;
        if (!memory.StartsAtMultipleOf(PieceBytes))
        {
            throw BadInput.Because(
                name, $"'{name}' must start at a multiple of {PieceBytes} bytes of the device's memory where the call is batch-invariant.");
        }

        if (tensor.Device is null)
            return;
        foreach (nint stride in tensor.Device.Strides[..Math.Max(0, tensor.Device.Strides.Length - 1)])
        {
            if (stride * PieceElementBytes % PieceBytes != 0)
            {
                throw BadInput.Because(
                    name, $"The rows of '{name}' must start at multiples of {PieceBytes} bytes where the call is batch-invariant.");
            }
        }
    }
}
