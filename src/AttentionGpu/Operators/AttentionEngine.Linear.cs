using System.Numerics.Tensors;
using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>The linear layer.</content>
public sealed partial class AttentionEngine
{
    /// <summary><c>output = input * weight^T + bias</c>: PyTorch's <c>linear</c>.</summary>
    /// <param name="input">[..., input size].</param>
    /// <param name="weight">[output size, input size].</param>
    /// <param name="output">[..., output size], with the leading axes of the input; all of it is written. Must not overlap an input.</param>
    /// <param name="bias">[output size]; leave it out for none.</param>
    /// <exception cref="ArgumentException">A shape does not fit, or the output overlaps an input. Nothing is written.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public unsafe void Linear(
        in ReadOnlyTensorSpan<float> input, in ReadOnlyTensorSpan<float> weight, in TensorSpan<float> output,
        in ReadOnlyTensorSpan<float> bias = default)
    {
        ThrowIfDisposed();
        bool hasBias = bias.Rank != 0;
        LinearProblem problem = new LinearShapes
        {
            Input = input.Lengths,
            Weight = weight.Lengths,
            HasBias = hasBias,
            Bias = bias.Lengths,
            Output = output.Lengths,
        }.ToProblem();
        HostCall.RequireDistinct(output, input, nameof(output), nameof(input));
        HostCall.RequireDistinct(output, weight, nameof(output), nameof(weight));
        HostCall.RequireDistinct(output, bias, nameof(output), nameof(bias));

        fixed (float* inputPointer = input, weightPointer = weight, outputPointer = output, biasPointer = bias)
        {
            using var call = new HostCall(Backend);
            DeviceMemory outputMemory = call.Output(output, outputPointer);
            Execute(problem, new LinearBuffers
            {
                Input = call.Input(input, inputPointer),
                Weight = call.Input(weight, weightPointer),
                Bias = hasBias ? call.Input(bias, biasPointer) : default,
                Output = outputMemory,
            });
            call.Finish(output, outputMemory);
        }
    }

    /// <summary>A linear layer on tensors that stay on the device. Contract as for the host tensors.</summary>
    /// <param name="input">[..., input size].</param>
    /// <param name="weight">[output size, input size].</param>
    /// <param name="output">[..., output size]; must be another tensor than the inputs.</param>
    /// <param name="bias">[output size], or null.</param>
    /// <exception cref="ArgumentException">A shape does not fit, a tensor is another engine's, or the output is an input.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public void Linear(
        DeviceTensor<float> input, DeviceTensor<float> weight, DeviceTensor<float> output, DeviceTensor<float>? bias = null)
    {
        ThrowIfDisposed();
        var buffers = new LinearBuffers
        {
            Input = RequireMine(input, nameof(input)),
            Weight = RequireMine(weight, nameof(weight)),
            Output = RequireMine(output, nameof(output)),
            Bias = bias is null ? default : RequireMine(bias, nameof(bias)),
        };
        LinearProblem problem = new LinearShapes
        {
            Input = input.Lengths,
            Weight = weight.Lengths,
            HasBias = bias is not null,
            Bias = bias is null ? default : bias.Lengths,
            Output = output.Lengths,
        }.ToProblem();
        Shape.RequireDistinct(output, input, nameof(output), nameof(input));
        Shape.RequireDistinct(output, weight, nameof(output), nameof(weight));
        Shape.RequireDistinct(output, bias, nameof(output), nameof(bias));
        Execute(problem, buffers);
    }
}
