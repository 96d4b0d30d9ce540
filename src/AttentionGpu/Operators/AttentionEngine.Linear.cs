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
    public void Linear(
        TensorInput<float> input, TensorInput<float> weight, TensorOutput<float> output, TensorInput<float> bias = default) =>
        LinearOf(input, weight, output, bias);

    /// <summary>
    /// The linear layer in float16: products are added up in float32 and rounded once. Otherwise as
    /// <see cref="Linear(TensorInput{float}, TensorInput{float}, TensorOutput{float}, TensorInput{float})"/>.
    /// </summary>
    /// <inheritdoc cref="Linear(TensorInput{float}, TensorInput{float}, TensorOutput{float}, TensorInput{float})" path="/*[not(self::summary)]"/>
    public void Linear(
        TensorInput<Half> input, TensorInput<Half> weight, TensorOutput<Half> output, TensorInput<Half> bias = default) =>
        LinearOf(input, weight, output, bias);

    /// <summary>
    /// The linear layer in bfloat16: products are added up in float32 and rounded once. Otherwise as
    /// <see cref="Linear(TensorInput{float}, TensorInput{float}, TensorOutput{float}, TensorInput{float})"/>.
    /// </summary>
    /// <inheritdoc cref="Linear(TensorInput{float}, TensorInput{float}, TensorOutput{float}, TensorInput{float})" path="/*[not(self::summary)]"/>
    public void Linear(
        TensorInput<BFloat16> input, TensorInput<BFloat16> weight, TensorOutput<BFloat16> output, TensorInput<BFloat16> bias = default) =>
        LinearOf(input, weight, output, bias);

    private unsafe void LinearOf<T>(TensorInput<T> input, TensorInput<T> weight, TensorOutput<T> output, TensorInput<T> bias)
        where T : unmanaged
    {
        ThrowIfDisposed();
        LinearProblem problem = new LinearRules
        {
            Element = ElementTypes.Of<T>(),
            Input = input.Lengths,
            Weight = weight.Lengths,
            HasBias = bias.IsPresent,
            Bias = bias.Lengths,
            Output = output.Lengths,
        }.ToProblem();
        CallMemory.RequireDistinct(output, input, nameof(output), nameof(input));
        CallMemory.RequireDistinct(output, weight, nameof(output), nameof(weight));
        CallMemory.RequireDistinct(output, bias, nameof(output), nameof(bias));

        fixed (T* inputPointer = input.Host, weightPointer = weight.Host, outputPointer = output.Host, biasPointer = bias.Host)
        {
            using var call = new CallMemory(this);
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
