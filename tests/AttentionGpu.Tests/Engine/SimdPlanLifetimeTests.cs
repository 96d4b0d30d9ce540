using System.Runtime.CompilerServices;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Engine;

/// <summary>A plan that is no longer used goes at the first collection, and one that is kept lets go of the memory of its calls.</summary>
public class SimdPlanLifetimeTests
{
    private const int Heads = 2;
    private const int Length = 40;
    private const int Size = 16;

    private static readonly TensorLayout _layout = TensorLayout.Contiguous(Heads, Length, Size);

    private static ContiguousProblem Attention => ContiguousProblem.Attention(Heads, Length, Length, Size);

    [Fact]
    public void A_linear_plan_goes() => AssertGoes<LinearSignature, LinearExtent, LinearBuffers>(
        new LinearSignature { Element = ElementType.Float32, Columns = Size, Depth = Size },
        new LinearExtent { Rows = Length, Output = MatrixLayouts.Plain(Length, Size) },
        (memory, output) => new LinearBuffers { Input = memory, Weight = memory, Output = output });

    [Fact]
    public void An_attention_plan_goes() => AssertGoes<AttentionSignature, AttentionExtent, AttentionBuffers>(
        Attention.Signature,
        Attention.Extent,
        (memory, output) => new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = output });

    [Fact]
    public void A_plan_of_weights_goes() => AssertGoes<AttentionSignature, AttentionExtent, AttentionBuffers>(
        Attention.Signature with { Scores = ScoreStage.Weights },
        Attention.Extent,
        (memory, output) => new AttentionBuffers { Query = memory, Key = memory, Value = memory, Output = memory, Scores = output });

    [Fact]
    public void A_plan_of_rows_goes() => AssertGoes<HeadTransformSignature, HeadTransformExtent, HeadTransformBuffers>(
        new HeadTransformSignature { Element = ElementType.Float32, Target = new KeyValueForm(ElementType.Float32), Size = Size },
        new HeadTransformExtent { Batch = 1, Heads = Heads, Length = Length, Source = _layout, Target = _layout },
        (memory, output) => new HeadTransformBuffers { Source = memory, Target = output });

    private static void AssertGoes<TSignature, TExtent, TBuffers>(
        TSignature signature, TExtent extent, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        using var backend = new SimdBackend();
        (WeakReference plan, WeakReference memory) = MakeAndRun(backend, signature, extent, buffers);
        IPlan<TExtent, TBuffers> kept = backend.Plan<TSignature, TExtent, TBuffers>(signature);
        WeakReference memoryOfKept = Run(kept, extent, buffers);
        GC.Collect();
        Assert.False(plan.IsAlive);
        Assert.False(memory.IsAlive);
        Assert.False(memoryOfKept.IsAlive);
        GC.KeepAlive(kept);
    }

    // What a method has in its frame lives until it returns, where it is not optimised.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static (WeakReference Plan, WeakReference Memory) MakeAndRun<TSignature, TExtent, TBuffers>(
        SimdBackend backend, TSignature signature, TExtent extent, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TSignature : struct, ISignature<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        IPlan<TExtent, TBuffers> plan = backend.Plan<TSignature, TExtent, TBuffers>(signature);
        return (new WeakReference(plan), Run(plan, extent, buffers));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Run<TExtent, TBuffers>(
        IPlan<TExtent, TBuffers> plan, TExtent extent, Func<DeviceMemory, DeviceMemory, TBuffers> buffers)
        where TExtent : struct
        where TBuffers : struct
    {
        float[] block = GC.AllocateArray<float>(Heads * Length * Length, pinned: true);
        float[] output = GC.AllocateArray<float>(block.Length, pinned: true);
        float[] workspace = GC.AllocateArray<float>((int)plan.WorkspaceBytes(extent) / sizeof(float), pinned: true);
        Array.Fill(block, 1f);
        Array.Fill(output, float.NaN);
        plan.Execute(extent, buffers(OnHost(block), OnHost(output)), OnHost(workspace));
        Assert.False(float.IsNaN(output[0]), "The plan computed nothing.");
        return new WeakReference(block);
    }

    private static unsafe DeviceMemory OnHost(float[] block) =>
        DeviceMemory.OnHost(block, (nint)Unsafe.AsPointer(ref block[0]), block.Length * sizeof(float));
}
