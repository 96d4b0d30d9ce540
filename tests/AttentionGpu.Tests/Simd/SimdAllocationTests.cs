using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>What a call of a plan allocates.</summary>
public unsafe class SimdAllocationTests
{
    private const int Heads = 2;
    private const int Size = 16;
    private const int Length = 600;

    [Fact]
    public void A_call_after_the_first_allocates_nothing_in_the_backend()
    {
        using var backend = new SimdBackend(threads: 2);
        AttentionProblem attention = Attention(200, 200);
        var linear = new LinearProblem { Rows = 400, Columns = 16, Depth = 16, HasBias = false, Output = MatrixMap.Contiguous(400, 16) };
        DeviceMemory memory = backend.Rent(Heads * Length * Size * sizeof(float));
        DeviceMemory output = backend.Rent(Heads * Length * Size * sizeof(float));
        DeviceMemory scores = backend.Rent(Heads * 200 * 200 * sizeof(float));
        new Span<float>(memory.Pointer<float>(), Heads * Length * Size).Fill(1f);
        var outputs = new Span<float>(output.Pointer<float>(), Heads * Length * Size);
        var attentionBuffers = new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = output, Scores = scores };
        var linearBuffers = new LinearBuffers { Input = memory, Weight = memory, Output = output };

        // Blocks of queries, few queries, no keys, keys in parts, weights.
        (IPlan<AttentionBuffers> Plan, float Result)[] attentionPlans =
        [
            (backend.Plan(attention), 1f),
            (backend.Plan(Attention(1, 200)), 1f),
            (backend.Plan(Attention(200, 0)), 0f),
            (backend.Plan(Attention(1, Length)), 1f),
            (backend.Plan(attention with { Scores = ScoreStage.Weights }), 1f),
        ];
        IPlan<LinearBuffers> linearPlan = backend.Plan(linear);

        // The fewest bytes of a call of each plan. Other tests may have the threads or a workspace: of a hundred calls one that had its own
        // is enough.
        var fewest = new long[attentionPlans.Length + 1];
        Array.Fill(fewest, long.MaxValue);
        for (int trial = 0; trial < 100 && fewest.Any(bytes => bytes > 0); trial++)
        {
            for (int i = 0; i < attentionPlans.Length; i++)
            {
                outputs.Fill(float.NaN);
                long before = GC.GetAllocatedBytesForCurrentThread();
                attentionPlans[i].Plan.Execute(attentionBuffers);
                fewest[i] = Math.Min(fewest[i], GC.GetAllocatedBytesForCurrentThread() - before);

                // The mean of ones is 1: attention was computed.
                Assert.Equal(attentionPlans[i].Result, outputs[0], 1e-5f);
            }

            long beforeLinear = GC.GetAllocatedBytesForCurrentThread();
            linearPlan.Execute(linearBuffers);
            fewest[^1] = Math.Min(fewest[^1], GC.GetAllocatedBytesForCurrentThread() - beforeLinear);
            Assert.Equal(Size, outputs[0], 1e-4f);
        }

        Assert.All(fewest, bytes => Assert.Equal(0, bytes));
    }

    private static AttentionProblem Attention(int queries, int keys) => ContiguousProblem.Attention(Heads, queries, keys, Size);
}
