using AttentionGpu.Kernels.Tests.Sass;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The guard of loops: every kernel, and texts that it must not let pass.</summary>
public class PtxGuardTests
{
    private const string Head = ".visible .entry Kernel(\n.param .u64 a\n)\n{\n";

    public static TheoryData<string> Kernels =>
        [.. CountedKernels.Products.Concat(CountedKernels.Rows).Select(kernel => kernel.Kind).Distinct()];

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Loops_have_no_divisions_and_few_instructions_for_a_product(string name)
    {
        CountedKernel kernel = CountedKernels.Products.Concat(CountedKernels.Rows).First(kernel => kernel.Kind == name);
        PtxGuard.Check(kernel.Compile(CudaArchitecture.SM_80));
    }

    [Theory]
    [InlineData("rem.s32 %r1, %r2, %r3;", true)]
    [InlineData("div.u64 %rd1, %rd2, %rd3;", true)]
    [InlineData("@%p2 div.u32 %r1, %r2, 8;", true)]
    [InlineData("div.rn.f32 %f1, %f2, %f3;", false)]
    [InlineData("shr.u32 %r1, %r2, 3;", false)]
    public void Divisions_are_seen_inside_of_loops_alone(string line, bool isDivision)
    {
        Assert.Equal(isDivision ? 1 : 0, PtxGuard.Divisions($"{Head}L_1:\n{line}\n@%p1 bra L_1;\nret;\n}}\n").Length);
        Assert.Empty(PtxGuard.Divisions($"{Head}{line}\nL_1:\nadd.s32 %r1, %r1, 1;\n@%p1 bra L_1;\nret;\n}}\n"));

        // Between a label and a branch back to it, but on a way that does not lead back.
        Assert.Empty(PtxGuard.Divisions($"{Head}bra L_2;\nL_1:\nadd.s32 %r1, %r1, 1;\nbra L_3;\nL_2:\n{line}\nbra L_1;\nL_3:\nret;\n}}\n"));
    }

    [Theory]
    [InlineData("fma.rn.f32 %f1, %f2, %f3, %f1;", 32, 86, true)]
    [InlineData("fma.rn.f32 %f1, %f2, %f3, %f1;", 32, 87, false)]
    [InlineData("mma.sync.x {%f1}, {%r1}, {%r2}, {%f1};", 4, 84, true)]
    [InlineData("mma.sync.x {%f1}, {%r1}, {%r2}, {%f1};", 4, 85, false)]
    public void Instructions_of_a_product_are_counted(string product, int products, int others, bool passes)
    {
        // The label and the products are lines of the loop, the branch is none.
        string ptx = "L_1:\n" + string.Concat(Enumerable.Repeat(product + '\n', products))
            + string.Concat(Enumerable.Repeat("add.s32 %r1, %r1, 1;\n", others - 1)) + "bra L_1;\n";
        Assert.Equal(passes, PtxGuard.LongLoops(ptx).Length == 0);
    }

    [Fact]
    public void A_division_in_a_loop_fails()
    {
        string Loop(string line) => $"{Head}L_1:\n{line}\n@%p1 bra L_1;\nret;\n}}\n";
        PtxGuard.Check(Loop("add.s32 %r1, %r2, %r3;"));
        Assert.ThrowsAny<Exception>(() => PtxGuard.Check(Loop("rem.s32 %r1, %r2, %r3;")));
    }
}
