using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Cli.Verify;
using AttentionGpu.Elements;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>Where a <see cref="WrongDevice"/> is wrong.</summary>
[Flags]
internal enum Wrong
{
    Nothing = 0,
    Linear = 1,
    Output = 2,
    Scores = 4,
    LogSumExp = 8,

    /// <summary>Keys and values that are copied, normalised or rotated.</summary>
    Rows = 16,

    /// <summary>Keys behind the past, after attention has read them.</summary>
    PresentKey = 32,

    /// <summary>Values behind the past, after attention has read them.</summary>
    PresentValue = 64,

    /// <summary>Every kind of result; <see cref="HiddenRows"/> is one more way in which the output is wrong.</summary>
    Everything = Linear | Output | Scores | LogSumExp | Rows | PresentKey | PresentValue,

    /// <summary>Outputs that are 0, as of queries that see no key: they are NaN, as PyTorch has them.</summary>
    HiddenRows = 128,

    /// <summary>Scores that are asked for at any stage: they are the products.</summary>
    ScoreStage = 256,

    /// <summary>Rows of the first chunk in a cache of 8-bit integers: each positive element is a step off.</summary>
    Rounding = 512,
}

/// <summary>How a <see cref="WrongDevice"/> is wrong.</summary>
internal enum Fault
{
    /// <summary>The first element is off, the same in every call.</summary>
    Differs,

    /// <summary>Nothing is computed: outputs stay as they were.</summary>
    LeavesUnwritten,

    /// <summary>The call throws.</summary>
    Throws,
}

/// <summary>The processor's vectors, made wrong on purpose.</summary>
internal sealed class WrongDevice(Wrong wrong, Fault fault = Fault.Differs) : DelegatingBackend(new SimdBackend())
{
    /// <summary>The error of a call that throws: it has the marks of a Spectre markup tag.</summary>
    public const string Message = "the device [broke] down";

    private const float Difference = 0.1f;

    // Tolerances of 16-bit elements are wider.
    private const float Difference16 = 0.6f;

    // Queries and keys are read by attention, which takes the mean over many of them.
    private const float RowDifference = 8f;

    public override DeviceInfo Device => base.Device with { Name = "wrong:0" };

    /// <summary>An engine on such a device.</summary>
    public static AttentionEngine Open(Wrong wrong, Fault fault = Fault.Differs) => new(new WrongDevice(wrong, fault));

    protected override IPlan<LinearExtent, LinearBuffers> Watch(LinearSignature signature, IPlan<LinearExtent, LinearBuffers> plan) =>
        Make(plan, Wrong.Linear, buffers => Spoil(buffers.Output, signature.Element, DifferenceOf(signature.Element)));

    protected override IPlan<AttentionExtent, AttentionBuffers> Watch(
        AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) =>
        Make(Planned(signature, plan), Wrong.Output, buffers =>
        {
            if (wrong.HasFlag(Wrong.Output))
                Spoil(buffers.Output, signature.Element, DifferenceOf(signature.Element));
            if (wrong.HasFlag(Wrong.Scores))
                Spoil(buffers.Scores, signature.Element, DifferenceOf(signature.Element));
            if (wrong.HasFlag(Wrong.LogSumExp))
                Spoil(buffers.LogSumExp, ElementType.Float32, DifferenceOf(signature.Element));
            if (wrong.HasFlag(Wrong.PresentKey))
                Spoil(buffers.Key, signature.Element, DifferenceOf(signature.Element));
            if (wrong.HasFlag(Wrong.PresentValue))
                Spoil(buffers.Value, signature.Element, DifferenceOf(signature.Element));
            if (wrong.HasFlag(Wrong.HiddenRows) && signature.Element == ElementType.Float32)
                SpoilZeros(buffers.Output);
        });

    protected override IPlan<HeadTransformExtent, HeadTransformBuffers> Watch(
        HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan) =>
        Make(Rounded(signature, plan), Wrong.Rows, buffers =>
        {
            if (signature.Target.Element.IsQuantised())
                SpoilQuantised(buffers.Target);
            else
                Spoil(buffers.Target, signature.Target.Element.Plain(), RowDifference);
        });

    private IPlan<HeadTransformExtent, HeadTransformBuffers> Rounded(
        HeadTransformSignature signature, IPlan<HeadTransformExtent, HeadTransformBuffers> plan) =>
        wrong.HasFlag(Wrong.Rounding) && signature.Target.Element == KeyValueElement.Int8
            ? new WatchedPlan<HeadTransformExtent, HeadTransformBuffers>(plan, after: (extent, buffers) =>
            {
                if (extent.Length == CacheScript.Chunk)
                    SpoilSteps(buffers.Target);
            })
            : plan;

    private IPlan<AttentionExtent, AttentionBuffers> Planned(AttentionSignature signature, IPlan<AttentionExtent, AttentionBuffers> plan) =>
        wrong.HasFlag(Wrong.ScoreStage) && signature.Scores is not null
            ? PlanOf<AttentionSignature, AttentionExtent, AttentionBuffers>(signature with { Scores = ScoreStage.Products })
            : plan;

    private IPlan<TExtent, TBuffers> Make<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan, Wrong kind, Action<TBuffers> spoil)
        where TExtent : struct
        where TBuffers : struct
    {
        bool isWrong = wrong.HasFlag(kind);
        return fault switch
        {
            Fault.Differs => new WatchedPlan<TExtent, TBuffers>(
                plan, after: isWrong || kind == Wrong.Output ? (_, buffers) => spoil(buffers) : null),
            Fault.LeavesUnwritten => isWrong ? new UnwrittenPlan<TExtent, TBuffers>(plan) : plan,
            _ => new WatchedPlan<TExtent, TBuffers>(
                plan, before: isWrong ? (_, _) => throw new InvalidOperationException(Message) : null),
        };
    }

    private static float DifferenceOf(ElementType element) => element == ElementType.Float32 ? Difference : Difference16;

    private static unsafe void Spoil(DeviceMemory memory, ElementType element, float difference)
    {
        if (!memory.Exists || memory.ByteLength == 0)
            return;
        switch (element)
        {
            case ElementType.Float32:
                *memory.Pointer<float>() = Spoiled(*memory.Pointer<float>(), difference);
                break;
            case ElementType.Float16:
                *memory.Pointer<Half>() = (Half)Spoiled((float)*memory.Pointer<Half>(), difference);
                break;
            default:
                *memory.Pointer<BFloat16>() = (BFloat16)Spoiled(*memory.Pointer<BFloat16>(), difference);
                break;
        }
    }

    // The second highest bit: of an int4 element that of its odd neighbour, several steps in every type.
    private static unsafe void SpoilQuantised(DeviceMemory memory) => *memory.Pointer<byte>() ^= 0x40;

    private static unsafe void SpoilSteps(DeviceMemory memory)
    {
        foreach (ref sbyte element in new Span<sbyte>(memory.Pointer<sbyte>(), (int)memory.ByteLength))
        {
            if (element is > 0 and < sbyte.MaxValue)
                element++;
        }
    }

    private static unsafe void SpoilZeros(DeviceMemory memory) =>
        new Span<float>(memory.Pointer<float>(), (int)(memory.ByteLength / sizeof(float))).Replace(0f, float.NaN);

    private static float Spoiled(float value, float difference) =>
        float.IsFinite(value) ? value + difference * Math.Max(1f, Math.Abs(value)) : 0f;

    private sealed class UnwrittenPlan<TExtent, TBuffers>(IPlan<TExtent, TBuffers> plan) : IPlan<TExtent, TBuffers>
        where TExtent : struct
        where TBuffers : struct
    {
        public long WorkspaceBytes(in TExtent extent) => plan.WorkspaceBytes(extent);

        public void Execute(in TExtent extent, in TBuffers buffers, DeviceMemory workspace)
        {
        }
    }
}
