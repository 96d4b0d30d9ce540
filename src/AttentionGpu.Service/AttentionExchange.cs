namespace AttentionGpu.Service;

/// <summary>A request and its answer, with what they may hold and take.</summary>
internal sealed record AttentionExchange(HttpContext Context, ServiceLimits Limits, MemoryLease Lease)
{
    /// <summary>The client has gone.</summary>
    public CancellationToken Aborted => Context.RequestAborted;
}
