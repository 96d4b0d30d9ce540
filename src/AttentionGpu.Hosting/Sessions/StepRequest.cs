using AttentionGpu.Hosting.Scheduling;

namespace AttentionGpu.Hosting.Sessions;

/// <summary>A step of a session, or a part of one.</summary>
internal sealed class StepRequest<T> : ForwardRequest<T>
    where T : unmanaged
{
    public required SessionMemory Memory { get; init; }

    /// <summary>The rows that the session has before it.</summary>
    public required int Start { get; init; }

    /// <inheritdoc/>
    public override object Group => Layer.Sessions!;

    /// <inheritdoc/>
    public override ForwardBatch Join(IReadOnlyList<ForwardRequest> requests, BatchMemory memory) =>
        new StepBatch<T>((AttentionLayer<T>)Layer, requests, memory);
}
