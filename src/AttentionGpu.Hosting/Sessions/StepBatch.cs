using System.Numerics.Tensors;
using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Sessions;

/// <summary>Steps of sessions of one layer that run together. Sessions that share pages stand next to each other.</summary>
internal sealed class StepBatch<T> : ForwardBatch<T>
    where T : unmanaged
{
    private readonly AttentionLayer<T> _layer;
    private readonly StepRequest<T>[] _steps;

    /// <inheritdoc cref="ForwardBatch{T}(AttentionLayer{T}, IReadOnlyList{ForwardRequest}, BatchMemory)"/>
    public StepBatch(AttentionLayer<T> layer, IReadOnlyList<ForwardRequest> requests, BatchMemory memory)
        : this(layer, Sort(requests), memory)
    {
    }

    private StepBatch(AttentionLayer<T> layer, StepRequest<T>[] steps, BatchMemory memory)
        : base(layer, steps, memory)
    {
        _layer = layer;
        _steps = steps;
    }

    /// <inheritdoc/>
    protected override void Forward(in ReadOnlyTensorSpan<T> input, in TensorSpan<T> output)
    {
        // Disposed of where the call fails, it takes the rows back.
        using KeyValueBatch batch = _layer.Sessions!.Memory.Append(
            [.. _steps.Select(step => step.Memory)], [.. _steps.Select(step => step.Start)], [.. _steps.Select(step => step.Tokens)]);
        _layer.Current.Forward(input, output, batch);
    }

    private static StepRequest<T>[] Sort(IReadOnlyList<ForwardRequest> requests)
    {
        StepRequest<T>[] steps = [.. requests.Cast<StepRequest<T>>()];
        Array.Sort(steps, (one, other) => one.Memory.Path.AsSpan().SequenceCompareTo(other.Memory.Path));
        return steps;
    }
}
