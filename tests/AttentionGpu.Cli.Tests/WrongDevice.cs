using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
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
}

/// <summary>How a <see cref="WrongDevice"/> is wrong.</summary>
internal enum Fault
{
    /// <summary>The first element is off by a tenth, the same in every call.</summary>
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

    public override DeviceInfo Device => base.Device with { Name = "wrong:0" };

    /// <summary>An engine on such a device.</summary>
    public static AttentionEngine Open(Wrong wrong, Fault fault = Fault.Differs) => new(new WrongDevice(wrong, fault));

    public override IPlan<LinearBuffers> Plan(LinearProblem problem) =>
        Make(base.Plan(problem), Wrong.Linear, buffers => Spoil(buffers.Output, problem.Element));

    public override IPlan<AttentionBuffers> Plan(AttentionProblem problem) => Make(base.Plan(Planned(problem)), Wrong.Output, buffers =>
    {
        if (wrong.HasFlag(Wrong.Output))
            Spoil(buffers.Output, problem.Element);
        if (wrong.HasFlag(Wrong.Scores))
            Spoil(buffers.Scores, problem.Element);
        if (wrong.HasFlag(Wrong.LogSumExp))
            Spoil(buffers.LogSumExp, ElementType.Float32);
        if (wrong.HasFlag(Wrong.PresentKey))
            Spoil(buffers.Key, problem.Element);
        if (wrong.HasFlag(Wrong.PresentValue))
            Spoil(buffers.Value, problem.Element);
        if (wrong.HasFlag(Wrong.HiddenRows) && problem.Element == ElementType.Float32)
            SpoilZeros(buffers.Output);
    });

    public override IPlan<HeadTransformBuffers> Plan(HeadTransform problem) =>
        Make(base.Plan(problem), Wrong.Rows, buffers => Spoil(buffers.Target, problem.Element));

    private AttentionProblem Planned(AttentionProblem problem) =>
        wrong.HasFlag(Wrong.ScoreStage) && problem.Scores is not null ? problem with { Scores = ScoreStage.Products } : problem;

    private IPlan<TBuffers> Make<TBuffers>(IPlan<TBuffers> plan, Wrong kind, Action<TBuffers> spoil)
        where TBuffers : struct
    {
        bool isWrong = wrong.HasFlag(kind);
        return fault switch
        {
            Fault.Differs => new WatchedPlan<TBuffers>(plan, after: isWrong || kind == Wrong.Output ? spoil : null),
            Fault.LeavesUnwritten => isWrong ? new UnwrittenPlan<TBuffers>() : plan,
            _ => new WatchedPlan<TBuffers>(plan, before: isWrong ? _ => throw new InvalidOperationException(Message) : null),
        };
    }

    private static unsafe void Spoil(DeviceMemory memory, ElementType element)
    {
        if (!memory.Exists || memory.ByteLength == 0)
            return;
        switch (element)
        {
            case ElementType.Float32:
                *memory.Pointer<float>() = Spoiled(*memory.Pointer<float>());
                break;
            case ElementType.Float16:
                *memory.Pointer<Half>() = (Half)Spoiled((float)*memory.Pointer<Half>());
                break;
            default:
                *memory.Pointer<BFloat16>() = (BFloat16)Spoiled(*memory.Pointer<BFloat16>());
                break;
        }
    }

    private static unsafe void SpoilZeros(DeviceMemory memory) =>
        new Span<float>(memory.Pointer<float>(), (int)(memory.ByteLength / sizeof(float))).Replace(0f, float.NaN);

    private static float Spoiled(float value) => float.IsFinite(value) ? value + Difference : 0f;

    private sealed class UnwrittenPlan<TBuffers> : IPlan<TBuffers>
        where TBuffers : struct
    {
        public void Execute(in TBuffers buffers)
        {
        }
    }
}
