using AttentionGpu.Memory;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu;

/// <content>The linear layer.</content>
public sealed partial class AttentionEngine
{
    /// <summary><c>output = input * weight^T + bias</c>: PyTorch's <c>linear</c>. Tensors are in host memory or on the device.</summary>
    /// <param name="input">[..., input size].</param>
    /// <param name="weight">[output size, input size].</param>
    /// <param name="output">[..., output size], with the leading axes of the input; all of it is written. Must not overlap an input.</param>
    /// <param name="bias">[output size]; leave it out for none.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or the output overlaps an input. Nothing is written.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    public unsafe void Linear(
        TensorInput<float> input, TensorInput<float> weight, TensorOutput<float> output, TensorInput<float> bias = default)
    {
        ThrowIfDisposed();
        LinearProblem problem = new LinearShapes
        {
            Input = input.Lengths,
            Weight = weight.Lengths,
            HasBias = bias.IsPresent,
            Bias = bias.Lengths,
            Output = output.Lengths,
        }.ToProblem();
        TensorCall.RequireDistinct(output, input, nameof(output), nameof(input));
        TensorCall.RequireDistinct(output, weight, nameof(output), nameof(weight));
        TensorCall.RequireDistinct(output, bias, nameof(output), nameof(bias));

        fixed (float* inputPointer = input.Host, weightPointer = weight.Host, outputPointer = output.Host, biasPointer = bias.Host)
        {
            using var call = new TensorCall(this);
            DeviceMemory outputMemory = call.Output(output, outputPointer, nameof(output));
            Execute(problem, new LinearBuffers
            {
                Input = call.Input(input, inputPointer, nameof(input)),
                Weight = call.Input(weight, weightPointer, nameof(weight)),
                Bias = call.Input(bias, biasPointer, nameof(bias)),
                Output = outputMemory,
            });
            call.Finish(output, outputMemory);
        }
    }
}
