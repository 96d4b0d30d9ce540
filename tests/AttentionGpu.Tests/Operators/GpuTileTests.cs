using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Operators;

/// <summary>
/// The tiles that GPUs get, on an emulated device with groups as large as theirs. Slow (hundreds of OS threads a group), so only a few
/// problems; the property tests run on small groups.
/// </summary>
public sealed class GpuTileTests : IDisposable
{
    private const int WarpSize = 32;
    private const int Warps = 8;

    private readonly Dictionary<bool, AttentionEngine> _engines = [];

    public static TheoryData<bool, int, VariantMask> Attention
    {
        get
        {
            var cases = new TheoryData<bool, int, VariantMask>();
            foreach (bool usesWarps in new[] { true, false })
            {
                // One value size for each of the three specialisations, and one that takes two groups of columns.
                foreach (int valueSize in new[] { 20, 50, 80, 150 })
                    cases.Add(usesWarps, valueSize, valueSize == 50 ? VariantMask.Boolean : VariantMask.None);
            }

            return cases;
        }
    }

    public void Dispose()
    {
        foreach (AttentionEngine engine in _engines.Values)
            engine.Dispose();
    }

    [Theory]
    [MemberData(nameof(Attention))]
    public void Attention_agrees_with_the_reference(bool usesWarps, int valueSize, VariantMask mask)
    {
        var problem = VariantCase.Create(
            VariantKind.Of(Causal.BottomRight, mask), new Random(valueSize), new VariantSizes(1, 1, 2, 18, valueSize, [70], [77]));
        VariantRun.OnReference(problem).AssertClose(
            VariantRun.Run(problem, Engine(usesWarps)), problem, $"warps {usesWarps}, value size {valueSize}");
    }

    [Theory]
    [InlineData("float16", "causal, top left", "softcap", "key lengths", "log-sum-exp")]
    [InlineData("bfloat16", "window to both sides", "sinks", "documents", "masked scores")]
    [InlineData("bias by distance", "ragged sequences", "causal, bottom right")]
    [InlineData("ALiBi", "ragged sequences", "rotary embedding", "RMS norm of queries and keys", "causal, bottom right")]
    [InlineData("prefix", "causal, top left", "past", "boolean and additive mask", "average weights")]
    public void Variants_agree_with_the_reference(params string[] choices)
    {
        var kind = VariantKind.With(choices);
        Assert.True(kind.IsValid);
        var problem = VariantCase.Create(kind, new Random(7), 80);
        VariantRun.OnReference(problem).AssertClose(VariantRun.Run(problem, Engine(usesWarps: true)), problem, kind.ToString());
    }

    [Theory]
    [InlineData(40, 30, 20)]
    [InlineData(130, 17, 259)]
    public void Linear_agrees_with_the_reference(int rows, int depth, int columns)
    {
        var random = new Random(rows);
        var input = Data.Random(random, rows, depth);
        var weight = Data.Random(random, columns, depth);
        var expected = Data.Poisoned(rows, columns);
        var actual = Data.Poisoned(rows, columns);
        Engines.Reference.Linear<float>(input.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), expected.AsTensorSpan());
        Engine(usesWarps: true).Linear<float>(input.AsReadOnlyTensorSpan(), weight.AsReadOnlyTensorSpan(), actual.AsTensorSpan());
        Close.Assert(expected, actual, "linear");
    }

    [Fact]
    public void Weights_agree_with_the_reference()
    {
        var problem = VariantCase.Create(
            VariantKind.With("additive mask with -inf", "weights"), new Random(3), new VariantSizes(1, 1, 1, 8, 8, [9], [300]));
        VariantRun.OnReference(problem).AssertClose(VariantRun.Run(problem, Engine(usesWarps: true)), problem, "weights");
    }

    [Fact]
    public void Small_groups_can_do_without_warps()
    {
        using var engine = new AttentionEngine(new AcceleratorBackend(
            Engines.Get("ilgpu-cpu").Device,
            AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName),
            accelerator => TileChoice.For(accelerator) with { UsesWarps = false }));
        for (int seed = 0; seed < 10; seed++)
        {
            var problem = VariantCase.Create(
                VariantKind.Of((Causal)(seed % 3), (VariantMask)(seed % 5)), new Random(seed),
                new VariantSizes(2, 1, 2, 8, 24, [11 + seed], [29 - seed]));
            VariantRun.OnReference(problem).AssertClose(VariantRun.Run(problem, engine), problem, $"seed {seed}");
        }
    }

    private AttentionEngine Engine(bool usesWarps)
    {
        if (!_engines.TryGetValue(usesWarps, out AttentionEngine? engine))
        {
            engine = new AttentionEngine(new AcceleratorBackend(
                Engines.Get("ilgpu-cpu").Device,
                AcceleratorDevices.CreateContext(AcceleratorDevices.EmulatorName, WarpSize, Warps),
                accelerator => TileChoice.For(accelerator) with { UsesWarps = usesWarps, BusyGroups = 4 }));
            _engines.Add(usesWarps, engine);
        }

        return engine;
    }
}
