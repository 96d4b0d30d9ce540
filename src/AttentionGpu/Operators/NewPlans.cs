using AttentionGpu.Problems;

namespace AttentionGpu.Operators;

/// <summary>The plans of a call that no call has had before: they are made at the same time, since each compiles kernels.</summary>
internal struct NewPlans(AttentionEngine engine)
{
    private List<Action>? _plans;

    /// <summary>Adds a plan, unless it has been made.</summary>
    /// <param name="signature">Its signature.</param>
    /// <param name="extent">The extent of the call.</param>
    public void Add<TSignature, TExtent, TBuffers>(TSignature signature, in TExtent extent)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        if (engine.HasPlan<TSignature, TExtent, TBuffers>(signature))
            return;
        (AttentionEngine owner, TExtent sizes) = (engine, extent);
        _plans ??= [];
        _plans.Add(() => owner.Plan<TSignature, TExtent, TBuffers>(signature).WorkspaceBytes(sizes));
    }

    /// <summary>Makes them. What fails here fails again where the call asks for it, in the order of its steps.</summary>
    public readonly void Make()
    {
        if (_plans is not { Count: > 1 })
            return;
        try
        {
            Parallel.ForEach(_plans, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, static make => make());
        }
        catch (AggregateException)
        {
            // The call says which of its steps it was.
        }
    }
}
