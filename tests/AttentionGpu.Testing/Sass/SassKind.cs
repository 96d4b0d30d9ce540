namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>What an instruction does.</summary>
internal enum SassKind
{
    /// <summary>A product of matrices on tensor cores.</summary>
    TensorProduct,

    /// <summary>A load of matrices from shared memory for tensor cores.</summary>
    MatrixLoad,

    /// <summary>A copy from global to shared memory that takes no register.</summary>
    AsyncCopy,

    SharedLoad,

    SharedStore,

    GlobalLoad,

    GlobalStore,

    LocalAccess,

    /// <summary>A function of the special function units: an exponential, a reciprocal.</summary>
    SpecialFunction,

    /// <summary>A conversion between number types that the special function units do.</summary>
    Conversion,

    MultiplyAdd,

    Addition,

    Multiplication,

    Maximum,

    /// <summary>Two numbers rounded into one register.</summary>
    Packing,

    HalfArithmetic,

    Shuffle,

    Barrier,

    Comparison,

    Move,

    IntegerMultiplyAdd,

    Integer,

    /// <summary>An instruction of the uniform datapath, for the whole warp.</summary>
    Uniform,

    Branch,

    Other,
}

/// <summary>Finds an instruction's kind by its name.</summary>
internal static class SassKinds
{
    // The first start of a name that fits counts.
    private static readonly (string Start, SassKind Kind)[] _starts =
    [
        .. Starts(SassKind.TensorProduct, "HMMA", "HGMMA", "QGMMA", "IMMA"),
        .. Starts(SassKind.MatrixLoad, "LDSM"),
        .. Starts(SassKind.AsyncCopy, "LDGSTS", "UTMALDG"),
        .. Starts(SassKind.SharedLoad, "LDS"),
        .. Starts(SassKind.SharedStore, "STS"),
        .. Starts(SassKind.Barrier, "LDGDEPBAR", "BAR", "DEPBAR", "SYNCS"),
        .. Starts(SassKind.GlobalLoad, "LDG", "LD."),
        .. Starts(SassKind.GlobalStore, "STG", "ST."),
        .. Starts(SassKind.LocalAccess, "LDL", "STL"),
        .. Starts(SassKind.SpecialFunction, "MUFU"),
        .. Starts(SassKind.MultiplyAdd, "FFMA"),
        .. Starts(SassKind.Addition, "FADD"),
        .. Starts(SassKind.Multiplication, "FMUL"),
        .. Starts(SassKind.Maximum, "FMNMX"),
        .. Starts(SassKind.Packing, "F2FP"),
        .. Starts(SassKind.Conversion, "F2F", "I2F", "F2I"),
        .. Starts(SassKind.HalfArithmetic, "HADD2", "HMUL2", "HFMA2"),
        .. Starts(SassKind.Shuffle, "SHFL"),
        .. Starts(SassKind.Comparison, "ISETP", "FSETP", "PLOP3", "FSEL", "SEL", "P2R", "R2P"),
        .. Starts(SassKind.Move, "IMAD.MOV", "IMAD.U32", "MOV", "CS2R", "S2R", "R2UR"),
        .. Starts(SassKind.IntegerMultiplyAdd, "IMAD"),
        .. Starts(SassKind.Integer, "IADD", "LEA", "LOP", "SHF", "IMNMX", "VIMNMX", "VIADD", "IABS", "PRMT", "POPC", "FLO"),
        .. Starts(
            SassKind.Branch, "BRA", "BSSY", "BSYNC", "WARPSYNC", "EXIT", "CALL", "RET", "NOP", "BREAK", "YIELD", "BMOV", "NANOSLEEP"),
        .. Starts(SassKind.Uniform, "U"),
    ];

    public static SassKind Of(string name)
    {
        foreach ((string start, SassKind kind) in _starts)
        {
            if (name.StartsWith(start, StringComparison.Ordinal))
                return kind;
        }

        return SassKind.Other;
    }

    private static IEnumerable<(string Start, SassKind Kind)> Starts(SassKind kind, params string[] starts) =>
        starts.Select(start => (start, kind));
}
