using System.Text.RegularExpressions;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Kernels.TensorCore.Ptx;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using AttentionGpu.Tests.Support;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The texts of attention for tensor cores, run on <see cref="PtxMachine"/>, against attention by its definition in float64.</summary>
public class TensorCoreKernelTests
{
    private const int FewProblems = 3;
    private const int FaultProblems = 25;

    public static TheoryData<bool, int, bool, Type> Texts
    {
        get
        {
            var texts = new TheoryData<bool, int, bool, Type>();
            foreach (int size in new[] { 64, 128, 256 })
            {
                foreach (Type range in new[] { typeof(AllKeys), typeof(CausalRange), typeof(WindowRange) })
                {
                    texts.Add(true, size, true, range);
                    texts.Add(false, size, true, range);
                    texts.Add(size == 128, size, false, range);
                }
            }

            return texts;
        }
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public void Agrees_with_the_definition(bool half, int size, bool isAligned, Type range)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int problem = 0; problem < Fuzz.Problems(FewProblems); problem++)
            AssertAgrees(TensorCoreProblem.Random(random, size, half, isAligned), range, $"seed {seed}, problem {problem}");
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public void Values_that_are_not_finite_reach_the_queries_that_see_them(bool half, int size, bool isAligned, Type range)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int problem = 0; problem < Fuzz.Problems(1); problem++)
        {
            AssertAgrees(
                TensorCoreProblem.Random(random, size, half, isAligned).WithGarbage(random), range, $"seed {seed}, problem {problem}");
        }
    }

    /// <summary>Rows of outputs that are longer than those of queries and keys take their place in shared memory, and the reverse.</summary>
    [Theory]
    [InlineData(64, 192)]
    [InlineData(8, 136)]
    [InlineData(64, 104)]
    [InlineData(8, 72)]
    [InlineData(8, 256)]
    [InlineData(256, 8)]
    public void Values_may_have_a_size_of_their_own(int headSize, int valueHeadSize)
    {
        int seed = Fuzz.Seed();
        var random = new Random(seed);
        for (int problem = 0; problem < Fuzz.Problems(FewProblems); problem++)
        {
            AssertAgrees(
                TensorCoreProblem.OfSizes(random, headSize, valueHeadSize), typeof(CausalRange), $"seed {seed}, problem {problem}");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_mean_of_the_largest_numbers_is_finite(bool half)
    {
        var random = new Random(5);
        for (int problem = 0; problem < FewProblems; problem++)
            AssertAgrees(TensorCoreProblem.Random(random, 64, half).WithLargestValues(), typeof(AllKeys), $"problem {problem}");
    }

    [Fact]
    public void The_mean_of_numbers_whose_sum_overflows_is_finite() => AssertAgrees(
        TensorCoreProblem.Random(new Random(3), 64, half: false).WithLargeValues(), typeof(CausalRange), "large values");

    [Theory]
    [InlineData(typeof(NativeHalfElement), typeof(AllKeys), typeof(WarpRowReduction))]
    [InlineData(typeof(BFloat16Element), typeof(CausalRange), typeof(WarpRowReduction))]
    [InlineData(typeof(NativeHalfElement), typeof(WindowRange), typeof(SharedRowReduction))]
    public void The_kernel_without_tensor_cores_agrees_too(Type element, Type range, Type reduction)
    {
        var random = new Random();
        int seed = random.Next();
        random = new Random(seed);
        var program = new PtxProgram(PtxCompiler.Compile(
            CudaArchitecture.SM_75, PtxKernels.Attention, typeof(Tile8x16), typeof(FragmentPair<Fragment8x4>), reduction, element,
            PtxKernels.Rows(element), range, typeof(NoVariant)));
        for (int problem = 0; problem < FewProblems; problem++)
        {
            TensorCoreProblem.Random(random, 128, element == typeof(NativeHalfElement))
                .AssertGeneralKernelAgrees<Tile8x16, FragmentPair<Fragment8x4>>(program, range, $"seed {seed}, problem {problem}");
            TensorCoreProblem.Random(random, 128, element == typeof(NativeHalfElement)).WithGarbage(random)
                .AssertGeneralKernelAgrees<Tile8x16, FragmentPair<Fragment8x4>>(
                    program, range, $"seed {seed}, problem {problem} with garbage");
        }
    }

    /// <summary>What is left out, or taken for something else, in the block that some queries see in part or behind it.</summary>
    [Theory]
    [InlineData("bar.sync 0;", "", 0, "a race")]
    [InlineData("bar.sync 0;", "", 1, "a race")]
    [InlineData("cp.async.wait_group 0;", "", 0, "a race")]
    [InlineData("cp.async.wait_group 0;", "", 1, "a race")]
    [InlineData(@"\.trans", "", 0, "expected")]
    [InlineData(@"setp\.gt\.s32 (.*;\nselp\.f32)", "setp.ge.s32 $1", 0, "expected")]
    [InlineData(@"selp\.f32 (%f\d+), (%f\d+), 0fFF800000, %p\d+;", "mov.f32 $1, $2;", 0, "expected")]
    [InlineData(@"shfl\.sync\.bfly\.b32 (%f\d+), (%f\d+), 2, 31, 0xffffffff;", "mov.f32 $1, $2;", 0, "expected")]
    [InlineData(@"@%p\d+ st\.global", "st.global", 0, "outside every buffer")]
    [InlineData(@"@%p\d+ cp\.async", "cp.async", 0, "outside every buffer")]
    public void A_fault_is_found(string pattern, string replacement, int number, string message)
    {
        const string block = "// A block that some queries see in part.";
        var random = new Random(1);
        Exception? exception = null;
        for (int i = 0; i < FaultProblems && exception is null; i++)
        {
            var problem = TensorCoreProblem.Random(random, 64, half: true);
            PtxKernel kernel = AttentionText.Write(problem.Form(typeof(CausalRange)));
            int start = kernel.Text.IndexOf(block, StringComparison.Ordinal);
            Match match = new Regex(pattern).Matches(kernel.Text, start)[number];
            string faulty = kernel.Text[..match.Index] + match.Result(replacement) + kernel.Text[(match.Index + match.Length)..];
            exception = Record.Exception(
                () => problem.AssertTensorKernelAgrees(kernel with { Text = faulty }, typeof(CausalRange), "with a fault"));
        }

        Assert.NotNull(exception);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    private static void AssertAgrees(TensorCoreProblem problem, Type range, string what) =>
        problem.AssertTensorKernelAgrees(AttentionText.Write(problem.Form(range)), range, what);
}
