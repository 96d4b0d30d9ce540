namespace AttentionGpu.Kernels.TensorCore;

/// <summary>
/// The instructions around the tensor cores' products, for a warp of 16 queries against 32 keys. A thread holds two rows of a product's
/// tile of 16 x 8 (PTX ISA, "Matrix fragments for mma.m16n8k16"): elements 4 i and 4 i + 1 of the first row, 4 i + 2 and 4 i + 3 of the row
/// 8 further down. Registers have names, because ILGPU passes what an instruction writes through local memory.
/// </summary>
internal static class TensorCoreText
{
    /// <summary>Registers: scores, outputs, operands, and two rows' maxima, sums and what passes between them.</summary>
    public const string Declare = """
        .reg .f32 s<16>, o<64>;
        .reg .b32 a<4>, b<8>;
        .reg .f32 m<2>, l<2>, n<2>, h<2>, c<2>, x;
        .reg .pred p<2>;
        .reg .b32 k;
        .reg .b16 x0, x1;
        """;

    /// <summary>A register for the address of a piece that is stored.</summary>
    public const string DeclareAddress = """
        .reg .b64 y;
        """;

    /// <summary>Outputs and sums are 0, maxima -inf.</summary>
    public const string Clear = """
        mov.f32 o0, 0f00000000; mov.f32 o1, 0f00000000; mov.f32 o2, 0f00000000; mov.f32 o3, 0f00000000;
        mov.f32 o4, 0f00000000; mov.f32 o5, 0f00000000; mov.f32 o6, 0f00000000; mov.f32 o7, 0f00000000;
        mov.f32 o8, 0f00000000; mov.f32 o9, 0f00000000; mov.f32 o10, 0f00000000; mov.f32 o11, 0f00000000;
        mov.f32 o12, 0f00000000; mov.f32 o13, 0f00000000; mov.f32 o14, 0f00000000; mov.f32 o15, 0f00000000;
        mov.f32 o16, 0f00000000; mov.f32 o17, 0f00000000; mov.f32 o18, 0f00000000; mov.f32 o19, 0f00000000;
        mov.f32 o20, 0f00000000; mov.f32 o21, 0f00000000; mov.f32 o22, 0f00000000; mov.f32 o23, 0f00000000;
        mov.f32 o24, 0f00000000; mov.f32 o25, 0f00000000; mov.f32 o26, 0f00000000; mov.f32 o27, 0f00000000;
        mov.f32 o28, 0f00000000; mov.f32 o29, 0f00000000; mov.f32 o30, 0f00000000; mov.f32 o31, 0f00000000;
        mov.f32 o32, 0f00000000; mov.f32 o33, 0f00000000; mov.f32 o34, 0f00000000; mov.f32 o35, 0f00000000;
        mov.f32 o36, 0f00000000; mov.f32 o37, 0f00000000; mov.f32 o38, 0f00000000; mov.f32 o39, 0f00000000;
        mov.f32 o40, 0f00000000; mov.f32 o41, 0f00000000; mov.f32 o42, 0f00000000; mov.f32 o43, 0f00000000;
        mov.f32 o44, 0f00000000; mov.f32 o45, 0f00000000; mov.f32 o46, 0f00000000; mov.f32 o47, 0f00000000;
        mov.f32 o48, 0f00000000; mov.f32 o49, 0f00000000; mov.f32 o50, 0f00000000; mov.f32 o51, 0f00000000;
        mov.f32 o52, 0f00000000; mov.f32 o53, 0f00000000; mov.f32 o54, 0f00000000; mov.f32 o55, 0f00000000;
        mov.f32 o56, 0f00000000; mov.f32 o57, 0f00000000; mov.f32 o58, 0f00000000; mov.f32 o59, 0f00000000;
        mov.f32 o60, 0f00000000; mov.f32 o61, 0f00000000; mov.f32 o62, 0f00000000; mov.f32 o63, 0f00000000;
        mov.f32 l0, 0f00000000; mov.f32 l1, 0f00000000;
        mov.f32 m0, 0fFF800000; mov.f32 m1, 0fFF800000;
        """;

    /// <summary>Scores are 0.</summary>
    public const string ClearScores = """
        mov.f32 s0, 0f00000000; mov.f32 s1, 0f00000000; mov.f32 s2, 0f00000000; mov.f32 s3, 0f00000000;
        mov.f32 s4, 0f00000000; mov.f32 s5, 0f00000000; mov.f32 s6, 0f00000000; mov.f32 s7, 0f00000000;
        mov.f32 s8, 0f00000000; mov.f32 s9, 0f00000000; mov.f32 s10, 0f00000000; mov.f32 s11, 0f00000000;
        mov.f32 s12, 0f00000000; mov.f32 s13, 0f00000000; mov.f32 s14, 0f00000000; mov.f32 s15, 0f00000000;
        """;

    /// <summary>Multiplies the scores by %0.</summary>
    public const string Scale = """
        mul.f32 s0, s0, %0; mul.f32 s1, s1, %0; mul.f32 s2, s2, %0; mul.f32 s3, s3, %0;
        mul.f32 s4, s4, %0; mul.f32 s5, s5, %0; mul.f32 s6, s6, %0; mul.f32 s7, s7, %0;
        mul.f32 s8, s8, %0; mul.f32 s9, s9, %0; mul.f32 s10, s10, %0; mul.f32 s11, s11, %0;
        mul.f32 s12, s12, %0; mul.f32 s13, s13, %0; mul.f32 s14, s14, %0; mul.f32 s15, s15, %0;
        """;

    /// <summary>
    /// Hides keys: the thread's first key is %0; its first row sees the keys from %1 to before %2, its second from %3 to before %4.
    /// </summary>
    public const string Mask = """
        add.s32 k, %0, 0; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s0, 0fFF800000, s0, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s2, 0fFF800000, s2, p0;
        add.s32 k, %0, 1; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s1, 0fFF800000, s1, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s3, 0fFF800000, s3, p0;
        add.s32 k, %0, 8; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s4, 0fFF800000, s4, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s6, 0fFF800000, s6, p0;
        add.s32 k, %0, 9; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s5, 0fFF800000, s5, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s7, 0fFF800000, s7, p0;
        add.s32 k, %0, 16; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s8, 0fFF800000, s8, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s10, 0fFF800000, s10, p0;
        add.s32 k, %0, 17; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s9, 0fFF800000, s9, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s11, 0fFF800000, s11, p0;
        add.s32 k, %0, 24; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s12, 0fFF800000, s12, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s14, 0fFF800000, s14, p0;
        add.s32 k, %0, 25; setp.ge.s32 p0, k, %2; setp.lt.or.s32 p0, k, %1, p0; selp.f32 s13, 0fFF800000, s13, p0;
        setp.ge.s32 p0, k, %4; setp.lt.or.s32 p0, k, %3, p0; selp.f32 s15, 0fFF800000, s15, p0;
        """;

    /// <summary>
    /// Takes the scores in, as exponents of 2: new maxima, weights in place of the scores, and in c0 and c1 what the outputs shrink by.
    /// A block's weights are added up by themselves: rounding errors of equal ones grow with the number of blocks.
    /// All weights, and so their sum, are 2^-%0 of what they are relative to the maximum.
    /// </summary>
    public const string Softmax = """
        max.f32 n0, s0, s1;
        max.f32 n0, n0, s4; max.f32 n0, n0, s5; max.f32 n0, n0, s8;
        max.f32 n0, n0, s9; max.f32 n0, n0, s12; max.f32 n0, n0, s13;
        shfl.sync.bfly.b32 x, n0, 1, 31, 0xffffffff; max.f32 n0, n0, x;
        shfl.sync.bfly.b32 x, n0, 2, 31, 0xffffffff; max.f32 n0, n0, x;
        max.f32 n0, n0, m0;
        setp.eq.f32 p0, n0, 0fFF800000; selp.f32 h0, 0f00000000, n0, p0;
        sub.f32 c0, m0, h0; ex2.approx.ftz.f32 c0, c0; mov.f32 m0, n0; add.f32 h0, h0, %0;
        sub.f32 s0, s0, h0; ex2.approx.ftz.f32 s0, s0;
        sub.f32 s1, s1, h0; ex2.approx.ftz.f32 s1, s1;
        sub.f32 s4, s4, h0; ex2.approx.ftz.f32 s4, s4;
        sub.f32 s5, s5, h0; ex2.approx.ftz.f32 s5, s5;
        sub.f32 s8, s8, h0; ex2.approx.ftz.f32 s8, s8;
        sub.f32 s9, s9, h0; ex2.approx.ftz.f32 s9, s9;
        sub.f32 s12, s12, h0; ex2.approx.ftz.f32 s12, s12;
        sub.f32 s13, s13, h0; ex2.approx.ftz.f32 s13, s13;
        add.f32 x, s0, s1; add.f32 n0, s4, s5; add.f32 x, x, n0; add.f32 n0, s8, s9;
        add.f32 x, x, n0; add.f32 n0, s12, s13; add.f32 x, x, n0; fma.rn.f32 l0, l0, c0, x;
        max.f32 n1, s2, s3;
        max.f32 n1, n1, s6; max.f32 n1, n1, s7; max.f32 n1, n1, s10;
        max.f32 n1, n1, s11; max.f32 n1, n1, s14; max.f32 n1, n1, s15;
        shfl.sync.bfly.b32 x, n1, 1, 31, 0xffffffff; max.f32 n1, n1, x;
        shfl.sync.bfly.b32 x, n1, 2, 31, 0xffffffff; max.f32 n1, n1, x;
        max.f32 n1, n1, m1;
        setp.eq.f32 p0, n1, 0fFF800000; selp.f32 h1, 0f00000000, n1, p0;
        sub.f32 c1, m1, h1; ex2.approx.ftz.f32 c1, c1; mov.f32 m1, n1; add.f32 h1, h1, %0;
        sub.f32 s2, s2, h1; ex2.approx.ftz.f32 s2, s2;
        sub.f32 s3, s3, h1; ex2.approx.ftz.f32 s3, s3;
        sub.f32 s6, s6, h1; ex2.approx.ftz.f32 s6, s6;
        sub.f32 s7, s7, h1; ex2.approx.ftz.f32 s7, s7;
        sub.f32 s10, s10, h1; ex2.approx.ftz.f32 s10, s10;
        sub.f32 s11, s11, h1; ex2.approx.ftz.f32 s11, s11;
        sub.f32 s14, s14, h1; ex2.approx.ftz.f32 s14, s14;
        sub.f32 s15, s15, h1; ex2.approx.ftz.f32 s15, s15;
        add.f32 x, s2, s3; add.f32 n1, s6, s7; add.f32 x, x, n1; add.f32 n1, s10, s11;
        add.f32 x, x, n1; add.f32 n1, s14, s15; add.f32 x, x, n1; fma.rn.f32 l1, l1, c1, x;
        """;

    /// <summary>Shrinks the outputs' first 64 columns.</summary>
    public const string ShrinkLow = """
        mul.f32 o0, o0, c0; mul.f32 o1, o1, c0; mul.f32 o2, o2, c1; mul.f32 o3, o3, c1;
        mul.f32 o4, o4, c0; mul.f32 o5, o5, c0; mul.f32 o6, o6, c1; mul.f32 o7, o7, c1;
        mul.f32 o8, o8, c0; mul.f32 o9, o9, c0; mul.f32 o10, o10, c1; mul.f32 o11, o11, c1;
        mul.f32 o12, o12, c0; mul.f32 o13, o13, c0; mul.f32 o14, o14, c1; mul.f32 o15, o15, c1;
        mul.f32 o16, o16, c0; mul.f32 o17, o17, c0; mul.f32 o18, o18, c1; mul.f32 o19, o19, c1;
        mul.f32 o20, o20, c0; mul.f32 o21, o21, c0; mul.f32 o22, o22, c1; mul.f32 o23, o23, c1;
        mul.f32 o24, o24, c0; mul.f32 o25, o25, c0; mul.f32 o26, o26, c1; mul.f32 o27, o27, c1;
        mul.f32 o28, o28, c0; mul.f32 o29, o29, c0; mul.f32 o30, o30, c1; mul.f32 o31, o31, c1;
        """;

    /// <summary>Shrinks the outputs' second 64 columns.</summary>
    public const string ShrinkHigh = """
        mul.f32 o32, o32, c0; mul.f32 o33, o33, c0; mul.f32 o34, o34, c1; mul.f32 o35, o35, c1;
        mul.f32 o36, o36, c0; mul.f32 o37, o37, c0; mul.f32 o38, o38, c1; mul.f32 o39, o39, c1;
        mul.f32 o40, o40, c0; mul.f32 o41, o41, c0; mul.f32 o42, o42, c1; mul.f32 o43, o43, c1;
        mul.f32 o44, o44, c0; mul.f32 o45, o45, c0; mul.f32 o46, o46, c1; mul.f32 o47, o47, c1;
        mul.f32 o48, o48, c0; mul.f32 o49, o49, c0; mul.f32 o50, o50, c1; mul.f32 o51, o51, c1;
        mul.f32 o52, o52, c0; mul.f32 o53, o53, c0; mul.f32 o54, o54, c1; mul.f32 o55, o55, c1;
        mul.f32 o56, o56, c0; mul.f32 o57, o57, c0; mul.f32 o58, o58, c1; mul.f32 o59, o59, c1;
        mul.f32 o60, o60, c0; mul.f32 o61, o61, c0; mul.f32 o62, o62, c1; mul.f32 o63, o63, c1;
        """;

    /// <summary>Joins the sums of the threads of a row; c0 and c1 become their reciprocals, 0 for a row that saw no key.</summary>
    public const string Finish = """
        shfl.sync.bfly.b32 x, l0, 1, 31, 0xffffffff; add.f32 l0, l0, x;
        shfl.sync.bfly.b32 x, l0, 2, 31, 0xffffffff; add.f32 l0, l0, x;
        setp.eq.f32 p0, l0, 0f00000000; rcp.rn.f32 c0, l0; selp.f32 c0, 0f00000000, c0, p0;
        shfl.sync.bfly.b32 x, l1, 1, 31, 0xffffffff; add.f32 l1, l1, x;
        shfl.sync.bfly.b32 x, l1, 2, 31, 0xffffffff; add.f32 l1, l1, x;
        setp.eq.f32 p0, l1, 0f00000000; rcp.rn.f32 c1, l1; selp.f32 c1, 0f00000000, c1, p0;
        """;

    /// <summary>Looks for outputs among the first 64 columns that are not finite: 0 times a finite number is 0, and else NaN.</summary>
    public const string CheckLow = """
        mov.f32 n0, 0f00000000; mov.f32 n1, 0f00000000;
        fma.rn.f32 n0, o0, 0f00000000, n0; fma.rn.f32 n0, o1, 0f00000000, n0;
        fma.rn.f32 n1, o2, 0f00000000, n1; fma.rn.f32 n1, o3, 0f00000000, n1;
        fma.rn.f32 n0, o4, 0f00000000, n0; fma.rn.f32 n0, o5, 0f00000000, n0;
        fma.rn.f32 n1, o6, 0f00000000, n1; fma.rn.f32 n1, o7, 0f00000000, n1;
        fma.rn.f32 n0, o8, 0f00000000, n0; fma.rn.f32 n0, o9, 0f00000000, n0;
        fma.rn.f32 n1, o10, 0f00000000, n1; fma.rn.f32 n1, o11, 0f00000000, n1;
        fma.rn.f32 n0, o12, 0f00000000, n0; fma.rn.f32 n0, o13, 0f00000000, n0;
        fma.rn.f32 n1, o14, 0f00000000, n1; fma.rn.f32 n1, o15, 0f00000000, n1;
        fma.rn.f32 n0, o16, 0f00000000, n0; fma.rn.f32 n0, o17, 0f00000000, n0;
        fma.rn.f32 n1, o18, 0f00000000, n1; fma.rn.f32 n1, o19, 0f00000000, n1;
        fma.rn.f32 n0, o20, 0f00000000, n0; fma.rn.f32 n0, o21, 0f00000000, n0;
        fma.rn.f32 n1, o22, 0f00000000, n1; fma.rn.f32 n1, o23, 0f00000000, n1;
        fma.rn.f32 n0, o24, 0f00000000, n0; fma.rn.f32 n0, o25, 0f00000000, n0;
        fma.rn.f32 n1, o26, 0f00000000, n1; fma.rn.f32 n1, o27, 0f00000000, n1;
        fma.rn.f32 n0, o28, 0f00000000, n0; fma.rn.f32 n0, o29, 0f00000000, n0;
        fma.rn.f32 n1, o30, 0f00000000, n1; fma.rn.f32 n1, o31, 0f00000000, n1;
        """;

    /// <summary>Looks among the second 64 columns too.</summary>
    public const string CheckHigh = """
        fma.rn.f32 n0, o32, 0f00000000, n0; fma.rn.f32 n0, o33, 0f00000000, n0;
        fma.rn.f32 n1, o34, 0f00000000, n1; fma.rn.f32 n1, o35, 0f00000000, n1;
        fma.rn.f32 n0, o36, 0f00000000, n0; fma.rn.f32 n0, o37, 0f00000000, n0;
        fma.rn.f32 n1, o38, 0f00000000, n1; fma.rn.f32 n1, o39, 0f00000000, n1;
        fma.rn.f32 n0, o40, 0f00000000, n0; fma.rn.f32 n0, o41, 0f00000000, n0;
        fma.rn.f32 n1, o42, 0f00000000, n1; fma.rn.f32 n1, o43, 0f00000000, n1;
        fma.rn.f32 n0, o44, 0f00000000, n0; fma.rn.f32 n0, o45, 0f00000000, n0;
        fma.rn.f32 n1, o46, 0f00000000, n1; fma.rn.f32 n1, o47, 0f00000000, n1;
        fma.rn.f32 n0, o48, 0f00000000, n0; fma.rn.f32 n0, o49, 0f00000000, n0;
        fma.rn.f32 n1, o50, 0f00000000, n1; fma.rn.f32 n1, o51, 0f00000000, n1;
        fma.rn.f32 n0, o52, 0f00000000, n0; fma.rn.f32 n0, o53, 0f00000000, n0;
        fma.rn.f32 n1, o54, 0f00000000, n1; fma.rn.f32 n1, o55, 0f00000000, n1;
        fma.rn.f32 n0, o56, 0f00000000, n0; fma.rn.f32 n0, o57, 0f00000000, n0;
        fma.rn.f32 n1, o58, 0f00000000, n1; fma.rn.f32 n1, o59, 0f00000000, n1;
        fma.rn.f32 n0, o60, 0f00000000, n0; fma.rn.f32 n0, o61, 0f00000000, n0;
        fma.rn.f32 n1, o62, 0f00000000, n1; fma.rn.f32 n1, o63, 0f00000000, n1;
        """;

    /// <summary>
    /// Whether any thread of the group has found an output that is not finite in a row whose sum of weights is not NaN, in %0: 1 or 0. It
    /// is a barrier.
    /// </summary>
    public const string AnyNonFinite = """
        setp.eq.f32 p0, n0, 0f00000000; selp.f32 n0, 0fBF800000, c0, p0; setp.ge.f32 p0, n0, 0f00000000;
        setp.eq.f32 p1, n1, 0f00000000; selp.f32 n1, 0fBF800000, c1, p1; setp.ge.or.f32 p0, n1, 0f00000000, p0;
        bar.red.or.pred p1, 0, p0; selp.b32 %0, 1, 0, p1;
        """;

    /// <summary>What is written is what was added up.</summary>
    public const string KeepSums = """
        mov.f32 c0, 0f3F800000; mov.f32 c1, 0f3F800000;
        """;

    /// <summary>16 bytes from %1 to shared memory at %0, or %2 of them and then zeros. PTX ISA, cp.async.</summary>
    public const string Copy = """
        cp.async.cg.shared.global [%0], [%1], 16, %2;
        """;

    /// <summary>What was copied since the last one is a group.</summary>
    public const string Commit = """
        cp.async.commit_group;
        """;

    /// <summary>Waits for all groups but the last.</summary>
    public const string WaitForAllButLast = """
        cp.async.wait_group 1;
        """;

    /// <summary>Waits for all groups.</summary>
    public const string WaitForAll = """
        cp.async.wait_group 0;
        """;
}
