using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

/// <summary>A call like an earlier one has its plan; plans of ever new calls do not pile up.</summary>
public class PlanCacheTests
{
    private const int Calls = 1500;
    private const int MostPlans = 1024;

    [Fact]
    public void Calls_that_are_alike_share_a_plan_and_others_do_not()
    {
        using var backend = new PlanningBackend();
        using var engine = new AttentionEngine(backend);
        foreach (int seed in new[] { 1, 2, 3 })
            Attend(engine, seed, keys: 7);
        Assert.Equal((1, 0), (backend.AttentionPlans, backend.LinearPlans));
        Attend(engine, seed: 3, keys: 8);
        Assert.Equal(2, backend.AttentionPlans);
        for (int rows = 1; rows <= 3; rows++)
        {
            Linear(engine, 1);
            Linear(engine, rows);
        }

        Assert.Equal(3, backend.LinearPlans);
    }

    [Fact]
    public void Plans_of_ever_new_calls_are_dropped()
    {
        using var backend = new PlanningBackend();
        using var engine = new AttentionEngine(backend);
        for (int rows = 1; rows <= Calls; rows++)
            Linear(engine, rows);
        Assert.Equal(Calls, backend.LinearPlans);

        // The last calls have their plans still, and most of the others do not.
        Linear(engine, Calls);
        Assert.Equal(Calls, backend.LinearPlans);
        GC.Collect();
        Assert.InRange(backend.Made.Count(plan => plan.IsAlive), 1, MostPlans);
    }

    private static void Attend(AttentionEngine engine, int seed, int keys)
    {
        var problem = VariantCase.Create(VariantKind.Of(Causal.TopLeft), new Random(seed), new VariantSizes(2, 2, 2, 8, 8, [5], [keys]));
        VariantRun.Run(problem with { Options = new AttentionOptions { Causal = Causal.TopLeft } }, engine);
    }

    private static void Linear(AttentionEngine engine, int rows)
    {
        float[] memory = new float[2 * rows];
        engine.Linear<float>(
            new ReadOnlyTensorSpan<float>(memory.AsSpan(0, rows), [rows, 1]), Data.Random(new Random(1), 1, 1),
            new TensorSpan<float>(memory.AsSpan(rows), [rows, 1]));
    }

    private sealed class PlanningBackend() : DelegatingBackend(new ReferenceBackend())
    {
        public int AttentionPlans { get; private set; }

        public int LinearPlans => Made.Count;

        public List<WeakReference> Made { get; } = [];

        public override IPlan<AttentionBuffers> Plan(AttentionProblem problem)
        {
            AttentionPlans++;
            return base.Plan(problem);
        }

        public override IPlan<LinearBuffers> Plan(LinearProblem problem)
        {
            IPlan<LinearBuffers> plan = base.Plan(problem);
            Made.Add(new WeakReference(plan));
            return plan;
        }
    }
}
