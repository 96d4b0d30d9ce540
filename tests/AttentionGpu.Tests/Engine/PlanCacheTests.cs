using System.Numerics.Tensors;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Reference;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Engine;

/// <summary>Calls of the same signature share a plan, whatever their sizes; plans of ever new signatures do not pile up.</summary>
public class PlanCacheTests
{
    private const int Calls = 1500;
    private const int MostPlans = 1024;

    [Fact]
    public void Calls_of_all_sizes_share_a_plan_and_other_signatures_do_not()
    {
        using var backend = new PlanningBackend();
        using var engine = new AttentionEngine(backend);
        for (int keys = 1; keys <= 9; keys++)
            Attend(engine, keys, headSize: 8);
        Assert.Equal((1, 0), (backend.AttentionPlans, backend.LinearPlans));
        Attend(engine, keys: 3, headSize: 16);
        Assert.Equal(2, backend.AttentionPlans);
        for (int rows = 1; rows <= 3; rows++)
            Linear(engine, rows, columns: 1);
        Assert.Equal(1, backend.LinearPlans);
        Linear(engine, 1, columns: 2);
        Assert.Equal(2, backend.LinearPlans);
    }

    [Fact]
    public void Plans_of_ever_new_signatures_are_dropped()
    {
        using var backend = new PlanningBackend();
        using var engine = new AttentionEngine(backend);
        for (int columns = 1; columns <= Calls; columns++)
            Linear(engine, 1, columns);
        Assert.Equal(Calls, backend.LinearPlans);

        // The last calls have their plans still, and most of the others do not.
        Linear(engine, 1, Calls);
        Assert.Equal(Calls, backend.LinearPlans);
        GC.Collect();
        Assert.InRange(backend.Made.Count(plan => plan.IsAlive), 1, MostPlans);
    }

    private static void Attend(AttentionEngine engine, int keys, int headSize)
    {
        var sizes = new VariantSizes(1 + keys % 3, 2, 2, headSize, 8, [1 + keys % 4], [keys]);
        var problem = VariantCase.Create(VariantKind.Of(Causal.TopLeft), new Random(keys), sizes);
        VariantRun.Run(problem with { Options = new AttentionOptions { Causal = Causal.TopLeft, Scale = 1f / keys } }, engine);
    }

    private static void Linear(AttentionEngine engine, int rows, int columns)
    {
        float[] input = new float[rows];
        float[] weight = new float[columns];
        float[] output = new float[rows * columns];
        engine.Linear<float>(
            new ReadOnlyTensorSpan<float>(input, [rows, 1]), new ReadOnlyTensorSpan<float>(weight, [columns, 1]),
            new TensorSpan<float>(output, [rows, columns]));
    }

    private sealed class PlanningBackend() : DelegatingBackend(new ReferenceBackend())
    {
        public int AttentionPlans { get; private set; }

        public int LinearPlans => Made.Count;

        public List<WeakReference> Made { get; } = [];

        protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
            AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan)
        {
            AttentionPlans++;
            return plan;
        }

        protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan)
        {
            Made.Add(new WeakReference(plan));
            return plan;
        }
    }
}
