namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>The counter of instructions, on listings whose counts are known.</summary>
public class SassCountTests
{
    // A loop with an exit in its middle, in which is one with its exit at the end.
    private const string Nested = """
                /*0000*/                   MOV R1, c[0x0][0x28] ;
                /*0010*/              @!P0 EXIT ;
        .L_x_0:
                /*0020*/                   IADD3 R2, R2, 0x1, RZ ;
        .L_x_1:
                /*0030*/                   LDS.128 R4, [R3] ;
                /*0040*/                   FFMA R8, R4, R5, R8 ;
                /*0050*/              @!P1 FFMA R9, R4, R6, R9 ;
                /*0060*/               @P0 BRA `(.L_x_1) ;
                /*0070*/               @P2 BRA `(.L_x_2) ;
                /*0080*/                   STS [R3], R8 ;
                /*0090*/                   BRA `(.L_x_0) ;
        .L_x_2:
                /*00a0*/                   STG.E [R2], R8 ;
                /*00b0*/                   EXIT ;
        .L_x_3:
                /*00c0*/                   BRA `(.L_x_3);
        """;

    [Theory]
    [InlineData("1(1)", 2 + 8 + 6 + 2, 2 * 2)]
    [InlineData("3(4)", 2 + 3 * 20 + 18 + 2, 4 * 4 * 2)]
    [InlineData("0(0)", 2 + 2, 0)]
    public void Nested_loops_count_their_passes_and_the_way_to_an_exit_in_the_middle(string trips, int instructions, int multiplyAdds)
    {
        SassCount count = Count(Nested, trips);
        Assert.Equal(instructions, count.Total);
        Assert.Equal(multiplyAdds, count.Of(SassKind.MultiplyAdd));
        Assert.Equal(multiplyAdds / 2, count.Of(SassKind.SharedLoad));
        Assert.Equal(1, count.Of(SassKind.GlobalStore));
    }

    [Theory]
    [InlineData("3")]
    [InlineData("3 4")]
    [InlineData("3(4 1)")]
    [InlineData("3(4(1))")]
    [InlineData("3(4) 1")]
    [InlineData("")]
    public void Loops_that_are_not_as_declared_are_refused(string trips)
    {
        string message = Assert.Throws<InvalidOperationException>(() => Count(Nested, trips)).Message;
        Assert.Contains("[0020: 2 MultiplyAdd, 1 SharedLoad]([0030: 2 MultiplyAdd, 1 SharedLoad])", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3(4")]
    [InlineData("3)4")]
    [InlineData("x")]
    public void Declarations_that_are_none_are_refused(string trips) => Assert.Throws<FormatException>(() => LoopTrips.Parse(trips));

    [Fact]
    public void Of_a_branch_the_longer_side_counts_and_of_calls_only_those_that_leave_a_loop()
    {
        // The loop ends with a call that does not return and a branch back; the subroutine is not counted; nor is what parted threads do.
        SassCount count = Count(
            """
                    /*0000*/                   MOV R1, c[0x0][0x28] ;
            .L_x_0:
                    /*0010*/               @P0 BRA `(.L_x_1) ;
                    /*0020*/                   FADD R2, R2, R3 ;
                    /*0030*/                   FADD R2, R2, R3 ;
                    /*0040*/                   BRA `(.L_x_2) ;
            .L_x_1:
                    /*0050*/                   MUFU.RCP R2, R2 ;
                    /*0060*/                   CALL.REL.NOINC `($__internal_0_$__cuda_sm20_rcp_rn_f32_slowpath) ;
            .L_x_2:
                    /*0070*/                   BRA.DIV ~URZ, `(.L_x_4) ;
                    /*0080*/                   SHFL.BFLY PT, R4, R2, 0x1, 0x1f ;
                    /*0090*/              @!PT LDS RZ, [RZ] ;
                    /*00a0*/               @P1 CALL.REL.NOINC `(.L_x_3) ;
                    /*00b0*/                   BRA `(.L_x_0) ;
            .L_x_3:
                    /*00c0*/                   EXIT ;
            .L_x_4:
                    /*00d0*/                   SHFL.BFLY PT, R4, R2, 0x1, 0x1f ;
                    /*00e0*/                   BRA `(.L_x_2) ;
            $__internal_0_$__cuda_sm20_rcp_rn_f32_slowpath:
                    /*00f0*/                   FMUL R2, R2, R2 ;
                    /*0100*/                   RET.REL.NODEC R2 `(Kernel_Test) ;
            """,
            "5");
        Assert.Equal(1 + 5 * 9 + 1, count.Total);
        Assert.Equal(5, count.Never);
        Assert.Equal((10, 0, 5, 0), (
            count.Of(SassKind.Addition), count.Of(SassKind.SpecialFunction), count.Of(SassKind.Shuffle), count.Of(SassKind.SharedLoad)));
    }

    [Theory]
    [InlineData(30, 2)]
    [InlineData(29, 7)]
    public void Blocks_of_comparisons_run_as_often_as_scores_are_hidden(int comparisons, int runs)
    {
        string text = "/*0000*/ MOV R1, R2 ;\n.L_x_0:\n/*0010*/ @P1 BRA `(.L_x_1) ;\n"
            + string.Concat(Enumerable.Range(2, comparisons).Select(i => $"/*{i * 16:x4}*/ FSETP.GT.AND P2, PT, R2, R3, PT ;\n"))
            + ".L_x_1:\n/*1000*/ FADD R2, R2, R3 ;\n/*1010*/ @P0 BRA `(.L_x_0) ;\n/*1020*/ EXIT ;";
        SassCount count = Count(text, "7", maskPasses: 2);
        Assert.Equal(comparisons * runs, count.Of(SassKind.Comparison));
        Assert.Equal(2 + 7 * 3 + comparisons * runs, count.Total);
    }

    [Fact]
    public void Loops_with_several_entries_and_tables_of_branches_are_refused()
    {
        string entries = "/*0000*/ @P0 BRA `(.L_x_1) ;\n.L_x_0:\n/*0010*/ FADD R2, R2, R3 ;\n"
            + ".L_x_1:\n/*0020*/ @P1 BRA `(.L_x_0) ;\n/*0030*/ EXIT ;";
        Assert.Contains("several entries", Assert.Throws<NotSupportedException>(() => Count(entries, "")).Message, StringComparison.Ordinal);
        Assert.Throws<NotSupportedException>(() => Count("/*0000*/ BRX R4 -0x10 ;\n/*0010*/ EXIT ;", ""));
        Assert.Throws<NotSupportedException>(() => Count("/*0000*/ BRA `(.L_x_9) ;\n/*0010*/ EXIT ;", ""));
        Assert.Throws<FormatException>(() => new SassListing("/*0000*/ EXIT ;"));
    }

    [Theory]
    [InlineData("HMMA.16816.F32", nameof(SassKind.TensorProduct))]
    [InlineData("LDGDEPBAR", nameof(SassKind.Barrier))]
    [InlineData("LDG.E.64", nameof(SassKind.GlobalLoad))]
    [InlineData("LDGSTS.E.BYPASS.128", nameof(SassKind.AsyncCopy))]
    [InlineData("LDSM.16.M88.4", nameof(SassKind.MatrixLoad))]
    [InlineData("IMAD.MOV.U32", nameof(SassKind.Move))]
    [InlineData("IMAD.WIDE", nameof(SassKind.IntegerMultiplyAdd))]
    [InlineData("ULDC.64", nameof(SassKind.Uniform))]
    [InlineData("VOTE.ANY", nameof(SassKind.Other))]
    public void Names_have_a_kind(string name, string kind) => Assert.Equal(kind, SassKinds.Of(name).ToString());

    internal static SassGraph Graph(string code) =>
        SassGraph.Build(new SassListing($"//--------- .text.Kernel_Test --------\n{code}\n//--------- .nv.info --------\n"));

    private static SassCount Count(string code, string trips, int maskPasses = 0)
    {
        SassGraph graph = Graph(code);
        IReadOnlyList<SassLoop> loops = SassLoop.Find(graph);
        return new SassCount(SassPath.Times(graph, loops, LoopTrips.Match(loops, trips), maskPasses));
    }
}
