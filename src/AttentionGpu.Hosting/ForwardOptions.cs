namespace AttentionGpu.Hosting;

/// <summary>How a request of a layer is computed, whom it is for, and until when it is wanted.</summary>
public readonly record struct ForwardOptions
{
    /// <summary>Which keys a query may see by position alone; null for what the layer does, <see cref="IAttentionLayer.Causal"/>.</summary>
    public Causal? Causal { get; init; }

    /// <summary>
    /// Whom the request is for: any text that tells one client from another, such as an API key or a connection. Clients that wait share
    /// the device equally. Requests without one share one client's part.
    /// </summary>
    public string? Client { get; init; }

    /// <summary>
    /// How long from now the request is wanted, more than 0 and at most one day; null for as long as it takes. It ends with an
    /// <see cref="AttentionDeadlineException"/> then, whether it waits or runs.
    /// </summary>
    public TimeSpan? Deadline { get; init; }
}
