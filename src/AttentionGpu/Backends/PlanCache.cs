using System.Collections.Concurrent;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends;

/// <summary>The plans of a device, by signature.</summary>
internal sealed class PlanCache(IOperators operators)
{
    // A program has a few signatures. A service that is sent ever new head sizes must not grow without end.
    private const int MaxPlans = 1024;

    private readonly ConcurrentDictionary<Type, object> _byType = new();

    /// <summary>Whether the plan of a signature has been made.</summary>
    public bool Has<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct =>
        _byType.TryGetValue(typeof(TSignature), out object? plans)
        && ((ConcurrentDictionary<TSignature, IPlan<TExtent, TBuffers>>)plans).ContainsKey(signature);

    /// <summary>The plan of a signature, made once.</summary>
    public IPlan<TExtent, TBuffers> Get<TSignature, TExtent, TBuffers>(TSignature signature)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        var plans = (ConcurrentDictionary<TSignature, IPlan<TExtent, TBuffers>>)_byType.GetOrAdd(
            typeof(TSignature), static _ => new ConcurrentDictionary<TSignature, IPlan<TExtent, TBuffers>>());
        if (plans.TryGetValue(signature, out IPlan<TExtent, TBuffers>? cached))
            return cached;

        // Kernels stay compiled in the backend, so starting over costs little.
        if (plans.Count >= MaxPlans)
            plans.Clear();
        return plans.GetOrAdd(signature, static (key, from) => from.Plan<TSignature, TExtent, TBuffers>(key), operators);
    }
}
