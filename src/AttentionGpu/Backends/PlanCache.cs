using System.Collections.Concurrent;

namespace AttentionGpu.Backends;

/// <summary>Plans by problem. Bounded: a service that sees ever new lengths must not grow without end.</summary>
internal sealed class PlanCache<TProblem, TBuffers>(Func<TProblem, IPlan<TBuffers>> plan)
    where TProblem : class
    where TBuffers : struct
{
    private const int MaxPlans = 1024;

    private readonly ConcurrentDictionary<TProblem, IPlan<TBuffers>> _plans = new();

    public IPlan<TBuffers> Get(TProblem problem)
    {
        if (_plans.TryGetValue(problem, out IPlan<TBuffers>? cached))
            return cached;

        // Kernels stay compiled in the backend, so starting over costs little.
        if (_plans.Count >= MaxPlans)
            _plans.Clear();
        return _plans.GetOrAdd(problem, plan);
    }
}
