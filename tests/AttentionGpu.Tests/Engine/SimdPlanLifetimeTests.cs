using System.Runtime.CompilerServices;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>A service that sees ever new lengths makes ever new plans: what one has used must go with it, at the first collection.</summary>
public class SimdPlanLifetimeTests
{
    private const int Heads = 2;
    private const int Length = 40;
    private const int Size = 16;

    private static readonly TensorLayout _layout = TensorLayout.Contiguous(Heads, Length, Size);

    private static AttentionProblem Attention => ContiguousProblem.Attention(Heads, Length, Length, Size);

    [Fact]
    public void A_linear_plan_goes() => AssertGoes(
        backend => backend.Plan(new LinearProblem { Rows = Length, Columns = Size, Depth = Size, HasBias = false, Output = MatrixMap.Contiguous(Length, Size) }),
        (memory, output) => new LinearBuffers { Input = memory, Weight = memory, Output = output });

    [Fact]
    public void An_attention_plan_goes() => AssertGoes(
        backend => backend.Plan(Attention),
        (memory, output) => new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = output });

    [Fact]
    public void A_plan_of_weights_goes() => AssertGoes(
        backend => backend.Plan(Attention with { Scores = ScoreStage.Weights }),
        (memory, output) => new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = memory, Scores = output });

    [Fact]
    public void A_plan_of_rows_goes() => AssertGoes(
        backend => backend.Plan(new HeadTransform
        {
            Batch = 1,
            Heads = Heads,
            Length = Length,
            Size = Size,
            Element = ElementType.Float32,
            Source = _layout,
            Target = _layout,
        }),
        (memory, output) => new HeadTransformBuffers { Source = memory, Target = output });

    private static void AssertGoes<TBuffers>(Func<SimdBackend, IPlan<TBuffers>> create, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TBuffers : struct
    {
        using var backend = new SimdBackend();
        (WeakReference plan, WeakReference memory) = MakeAndRun(backend, create, buffers);
        IPlan<TBuffers> kept = create(backend);
        WeakReference memoryOfKept = Run(kept, buffers);
        GC.Collect();
        Assert.False(plan.IsAlive);
        Assert.False(memory.IsAlive);
        Assert.False(memoryOfKept.IsAlive);
        GC.KeepAlive(kept);
    }

    // What a method has in its frame lives until it returns, where it is not optimised.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (WeakReference Plan, WeakReference Memory) MakeAndRun<TBuffers>(
        SimdBackend backend, Func<SimdBackend, IPlan<TBuffers>> create, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TBuffers : struct
    {
        IPlan<TBuffers> plan = create(backend);
        return (new WeakReference(plan), Run(plan, buffers));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Run<TBuffers>(IPlan<TBuffers> plan, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TBuffers : struct
    {
        float[] block = GC.AllocateArray<float>(Heads * Length * Length, pinned: true);
        float[] output = GC.AllocateArray<float>(block.Length, pinned: true);
        Array.Fill(block, 1f);
        Array.Fill(output, float.NaN);
        plan.Execute(buffers(OnHost(block), OnHost(output)));
        Assert.False(float.IsNaN(output[0]), "The plan computed nothing.");
        return new WeakReference(block);
    }

    private static unsafe DeviceMemory OnHost(float[] block) =>
        DeviceMemory.OnHost(block, (nint)Unsafe.AsPointer(ref block[0]), block.Length * sizeof(float));
}
