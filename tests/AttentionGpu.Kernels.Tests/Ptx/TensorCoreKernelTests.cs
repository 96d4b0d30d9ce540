using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
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

    private static void AssertAgrees(TensorCoreProblem problem, Type range, string what) =>
        problem.AssertTensorKernelAgrees(AttentionText.Write(problem.Form(range)), range, what);
}
