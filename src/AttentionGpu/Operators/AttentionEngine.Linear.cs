using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>The linear layer.</content>
public sealed partial class AttentionEngine
{
    /// <summary><c>output = input * weight^T + bias</c>: PyTorch's <c>linear</c>. Tensors are in host memory or on the device.</summary>
    /// <param name="input">[..., input size].</param>
    /// <param name="weight">[output size, input size].</param>
    /// <param name="output">
    /// [..., output size], with the leading axes of the input; all of it is written. Must not overlap an input.
    /// </param>
    /// <param name="bias">[output size]; leave it out for none.</param>
    /// <param name="batchInvariant">
    /// Whether a row's results have the same bits whatever rows stand beside it: as <see cref="AttentionOptions.BatchInvariant"/>.
    /// </param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    /// <typeparam name="T">
    /// <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>: products are added up in float32 and rounded once.
    /// </typeparam>
    public unsafe void Linear<T>(
        TensorInput<T> input, TensorInput<T> weight, TensorOutput<T> output, TensorInput<T> bias = default, bool batchInvariant = false)
        where T : unmanaged
    {
        using var call = new CallMemory(Lifetime);
        (LinearSignature signature, LinearExtent extent) = new LinearRules
        {
            Element = ElementTypes.Of<T>(),
            Input = input.Lengths,
            Weight = weight.Lengths,
            HasBias = bias.IsPresent,
            Bias = bias.Lengths,
            Output = output.Lengths,
            BatchInvariant = batchInvariant || IsBatchInvariant,
        }.Lower();
        TensorOverlap.RequireOwnElements(output, nameof(output));
        TensorOverlap.RequireDistinct(output, input, nameof(output), nameof(input));
        TensorOverlap.RequireDistinct(output, weight, nameof(output), nameof(weight));
        TensorOverlap.RequireDistinct(output, bias, nameof(output), nameof(bias));

        fixed (T* inputPointer = input.Host, weightPointer = weight.Host, outputPointer = output.Host, biasPointer = bias.Host)
        {
            var buffers = new LinearBuffers
            {
                Output = call.Output(output, outputPointer, nameof(output)),
                Input = call.Input(input, inputPointer, nameof(input)),
                Weight = call.Input(weight, weightPointer, nameof(weight)),
                Bias = call.Input(bias, biasPointer, nameof(bias)),
            };
            if (signature.BatchInvariant)
            {
                RequireAlignment(input, buffers.Input, nameof(input));
                RequireAlignment(weight, buffers.Weight, nameof(weight));
                RequireAlignment(bias, buffers.Bias, nameof(bias));
                RequireAlignment(output.AsInput(), buffers.Output, nameof(output));
            }

            DeviceMemory workspace = call.Rent(WorkspaceBytes(signature, extent));
            Execute(signature, extent, buffers, workspace);
            call.Finish(output, buffers.Output);
        }
    }

    /// <summary>
    /// As <see cref="Linear{T}(TensorInput{T}, TensorInput{T}, TensorOutput{T}, TensorInput{T}, bool)"/>, and returns the output in host
    /// memory.
    /// </summary>
    /// <inheritdoc cref="Linear{T}(TensorInput{T}, TensorInput{T}, TensorOutput{T}, TensorInput{T}, bool)" path="/*[not(self::summary)]"/>
    /// <remarks>Without a bias, so that an output by mistake is never taken for one.</remarks>
    /// <returns>[..., output size], with the leading axes of the input.</returns>
    public Tensor<T> Linear<T>(Tensor<T> input, Tensor<T> weight, bool batchInvariant = false)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(weight);
        ShapeRules.RequireRank(weight.Lengths, 2, "[output size, input size]", nameof(weight));
        nint[] lengths = input.Lengths.ToArray();
        if (lengths.Length == 0)
            throw ShapeRules.Error(lengths, "must be [..., input size]", nameof(input));
        lengths[^1] = weight.Lengths[0];
        Tensor<T> output = HostTensor.CreateOutput<T>(lengths, nameof(weight));
        Linear<T>((TensorInput<T>)input, weight, output, batchInvariant: batchInvariant);
        return output;
    }
}
