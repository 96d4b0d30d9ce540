namespace AttentionGpu.Backends;

/// <summary>The plan of a problem whose output has no element.</summary>
internal sealed class NothingPlan<TBuffers> : IPlan<TBuffers>
    where TBuffers : struct
{
    public void Execute(in TBuffers buffers)
    {
    }
}
