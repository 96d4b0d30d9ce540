namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// What instructions cost on a device. A multiprocessor has four schedulers; a warp's instruction keeps a pipe of its scheduler for some
/// cycles. NVIDIA's white papers of A100 and H100, data sheets, and the throughput table of the CUDA C++ Programming Guide.
/// </summary>
internal sealed record GpuModel
{
    private const int Schedulers = 4;
    private const int WarpSize = 32;
    private const int RegistersOfScheduler = 16384;
    private const int RegisterUnit = 256;
    private const int SharedUnit = 128;

    // What the system takes of each group's shared memory, SM_80 and up.
    private const int SystemSharedBytes = 1024;

    // 16 lanes a multiprocessor: 4 a scheduler. 64 lanes: 16 a scheduler. 128 bytes of shared memory a cycle.
    private const int SpecialFunctionCycles = 8;
    private const int IntegerCycles = 2;
    private const int SharedCycles = 1;

    /// <summary>A device of each architecture that the kernels are assembled for.</summary>
    public static IReadOnlyList<GpuModel> All { get; } =
    [
        new()
        {
            Name = "A100", Architecture = "sm_80", TensorCycles = 8, MultiplyAddCycles = 2, SharedKilobytes = 164, Warps = 64,
            Groups = 32,
        },
        new()
        {
            Name = "A10", Architecture = "sm_86", TensorCycles = 16, MultiplyAddCycles = 1, SharedKilobytes = 100, Warps = 48,
            Groups = 16,
        },
        new()
        {
            Name = "RTX 4090", Architecture = "sm_89", TensorCycles = 32, MultiplyAddCycles = 1, SharedKilobytes = 100, Warps = 48,
            Groups = 24,
        },
        new()
        {
            Name = "H100", Architecture = "sm_90", TensorCycles = 4, MultiplyAddCycles = 1, SharedKilobytes = 228, Warps = 64,
            Groups = 32,
        },
    ];

    public required string Name { get; init; }

    /// <summary>As the assembler names it.</summary>
    public required string Architecture { get; init; }

    /// <summary>Cycles of a <c>HMMA.16816.F32</c>, which is 2,048 multiply-adds.</summary>
    public required int TensorCycles { get; init; }

    /// <summary>Cycles of an <c>FFMA</c>.</summary>
    public required int MultiplyAddCycles { get; init; }

    /// <summary>Shared memory of a multiprocessor.</summary>
    public required int SharedKilobytes { get; init; }

    /// <summary>The most warps on a multiprocessor.</summary>
    public required int Warps { get; init; }

    /// <summary>The most groups on a multiprocessor.</summary>
    public required int Groups { get; init; }

    /// <summary>Groups that a multiprocessor holds at once.</summary>
    public int ResidentGroups(SassResources resources, int threads)
    {
        int warps = (threads + WarpSize - 1) / WarpSize;
        int registers = RoundUp(resources.Registers * WarpSize, RegisterUnit);
        int byRegisters = RegistersOfScheduler / registers * Schedulers / warps;
        int byShared = SharedKilobytes * 1024 / RoundUp(resources.SharedBytes + SystemSharedBytes, SharedUnit);
        return Math.Min(Math.Min(byRegisters, byShared), Math.Min(Warps / warps, Groups));
    }

    /// <summary>Cycles that a warp keeps each pipe; of shared memory, that one warp of each scheduler do.</summary>
    public IReadOnlyDictionary<string, long> Cycles(SassCount count) => new Dictionary<string, long>
    {
        ["tensor"] = TensorCycles * count.Of(SassKind.TensorProduct),
        ["special functions"] = SpecialFunctionCycles * count.Of(SassKind.SpecialFunction, SassKind.Conversion),
        ["multiply-adds"] = MultiplyAddCycles
            * (count.Of(SassKind.MultiplyAdd, SassKind.Addition, SassKind.Multiplication, SassKind.IntegerMultiplyAdd)
                + Named(count, "IMAD.MOV", "IMAD.U32")),
        ["integers"] = IntegerCycles
            * (count.Of(SassKind.Maximum, SassKind.Comparison, SassKind.Integer, SassKind.Packing) + Named(count, "MOV")),
        ["issue"] = count.Total,
        ["shared memory"] = Schedulers * SharedCycles * count.Names.Sum(pair => pair.Value * SharedLines(pair.Key)),
    };

    /// <summary>
    /// The products' share of the time of the busiest pipe: what a kernel reaches at most if all pipes overlap perfectly.
    /// </summary>
    /// <param name="count">What a warp issues.</param>
    /// <param name="multiplyAdds">Of the products, where they are not on tensor cores.</param>
    public (double Share, string Pipe) Bound(SassCount count, long multiplyAdds)
    {
        IReadOnlyDictionary<string, long> cycles = Cycles(count);
        (string pipe, long busiest) = cycles.MaxBy(pair => pair.Value);
        long products = count.Of(SassKind.TensorProduct) > 0 ? cycles["tensor"] : MultiplyAddCycles * multiplyAdds;
        return ((double)products / busiest, pipe);
    }

    private static long Named(SassCount count, params string[] starts) =>
        count.Names.Where(pair => starts.Any(start => pair.Key.StartsWith(start, StringComparison.Ordinal))).Sum(pair => pair.Value);

    // Lines of 128 bytes that a warp moves: its 32 threads take 4, 8 or 16 bytes each.
    private static int SharedLines(string name) => SassKinds.Of(name) switch
    {
        SassKind.MatrixLoad => Wide(name, ".4", ".2"),
        SassKind.SharedLoad or SassKind.SharedStore or SassKind.AsyncCopy => Wide(name, ".128", ".64"),
        _ => 0,
    };

    private static int Wide(string name, string four, string two) =>
        name.EndsWith(four, StringComparison.Ordinal) || name.Contains(four + '.', StringComparison.Ordinal) ? 4
        : name.EndsWith(two, StringComparison.Ordinal) || name.Contains(two + '.', StringComparison.Ordinal) ? 2 : 1;

    private static int RoundUp(int value, int unit) => (value + unit - 1) / unit * unit;
}
