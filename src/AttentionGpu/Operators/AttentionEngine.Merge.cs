using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Operators;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>Attention over parts of the keys, joined.</content>
public sealed partial class AttentionEngine
{
    /// <summary>
    /// Joins attention over parts of the keys to attention over all of them, by the parts' <see cref="AttentionOutputs{T}.LogSumExp"/>:
    /// FlashInfer's <c>merge_states</c>, the last step of ring attention. Parts of shared keys are then attended to once for many queries.
    /// </summary>
    /// <remarks>
    /// The result is that of one call, up to the rounding of the parts' outputs to their element type. A part in which a query sees no key
    /// has a log-sum-exp of -inf and takes no part. A sink belongs to one part alone.
    /// </remarks>
    /// <param name="outputs">
    /// [parts, batch, heads, query length, value head size]; or of ragged sequences [parts, tokens, heads, value head size].
    /// </param>
    /// <param name="logSumExps">[parts, batch, heads, query length]; or of ragged sequences [parts, heads, tokens].</param>
    /// <param name="output">The shape of a part's outputs; all of it is written. Must not overlap an input.</param>
    /// <param name="logSumExp">The shape of a part's log-sum-exp; left out where it is not needed.</param>
    /// <exception cref="ArgumentException">
    /// A shape does not fit, a tensor is another engine's, or an output overlaps another tensor. Nothing is written.
    /// </exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory. Nothing is written.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine or a tensor is disposed.</exception>
    /// <typeparam name="T">
    /// <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>; arithmetic is in float32 at least.
    /// </typeparam>
    public unsafe void MergeStates<T>(
        TensorInput<T> outputs, TensorInput<float> logSumExps, TensorOutput<T> output, TensorOutput<float> logSumExp = default)
        where T : unmanaged
    {
        using var call = new CallMemory(Lifetime);
        ElementType element = ElementTypes.Of<T>();
        MergeStatesExtent extent = MergeRules.Lower(outputs.Lengths, logSumExps.Lengths, output.Lengths, logSumExp.Lengths);
        var signature = new MergeStatesSignature
        {
            Element = element,
            ValueHeadSize = (int)outputs.Lengths[^1],
            HasLogSumExp = logSumExp.IsPresent,
        };
        TensorOverlap.RequireOwnElements(output, nameof(output));
        TensorOverlap.RequireDistinct(output, outputs, nameof(output), nameof(outputs));
        TensorOverlap.RequireDistinct(output, logSumExps, nameof(output), nameof(logSumExps));
        TensorOverlap.RequireOwnElements(logSumExp, nameof(logSumExp));
        TensorOverlap.RequireDistinct(logSumExp, outputs, nameof(logSumExp), nameof(outputs));
        TensorOverlap.RequireDistinct(logSumExp, logSumExps, nameof(logSumExp), nameof(logSumExps));
        TensorOverlap.RequireDistinct(logSumExp, output.AsInput(), nameof(logSumExp), nameof(output));
        fixed (T* outputsPointer = outputs.Host, outputPointer = output.Host)
        fixed (float* sumsPointer = logSumExps.Host, sumPointer = logSumExp.Host)
        {
            var buffers = new MergeStatesBuffers
            {
                Outputs = call.Input(outputs, outputsPointer, nameof(outputs)),
                LogSumExps = call.Input(logSumExps, sumsPointer, nameof(logSumExps)),
                Output = call.Output(output, outputPointer, nameof(output)),
                LogSumExp = call.Output(logSumExp, sumPointer, nameof(logSumExp)),
            };
            if (extent.Rows > 0)
            {
                IPlan<MergeStatesExtent, MergeStatesBuffers> plan =
                    Plan<MergeStatesSignature, MergeStatesExtent, MergeStatesBuffers>(signature);
                plan.Execute(extent, buffers, call.Rent(plan.WorkspaceBytes(extent)));
            }

            call.Finish(output, buffers.Output);
            call.Finish(logSumExp, buffers.LogSumExp);
        }
    }
}
