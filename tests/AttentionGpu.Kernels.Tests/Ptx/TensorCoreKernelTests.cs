using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore;
using AttentionGpu.Kernels.Tiled.Reductions;
using AttentionGpu.Kernels.Tiled.Tiles;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The tensor core kernel's PTX, run on <see cref="PtxMachine"/>, against attention by its definition in float64.</summary>
public class TensorCoreKernelTests
{
    private const int Problems = 25;
    private const int FewProblems = 3;

    public static TheoryData<Type, Type, Type> Kernels
    {
        get
        {
            var kernels = new TheoryData<Type, Type, Type>();
            foreach (Type element in new[] { typeof(HalfTensorCore), typeof(BFloat16TensorCore) })
            {
                foreach (Type size in new[] { typeof(TensorCoreSize64), typeof(TensorCoreSize128) })
                {
                    foreach (Type range in new[] { typeof(AllKeys), typeof(CausalRange), typeof(WindowRange) })
                        kernels.Add(element, size, range);
                }
            }

            return kernels;
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Agrees_with_the_definition(Type element, Type size, Type range)
    {
        var random = new Random();
        int seed = random.Next();
        random = new Random(seed);
        PtxProgram program = Compile(element, size, range);
        for (int problem = 0; problem < Problems; problem++)
        {
            var one = TensorCoreProblem.Random(random, size == typeof(TensorCoreSize64) ? 64 : 128, element == typeof(HalfTensorCore));
            one.AssertTensorKernelAgrees(program, range, $"seed {seed}, problem {problem}");
        }
    }

    [Theory]
    [MemberData(nameof(Kernels))]
    public void Values_that_are_not_finite_reach_the_queries_that_see_them(Type element, Type size, Type range)
    {
        int seed = new Random().Next();
        var random = new Random(seed);
        PtxProgram program = Compile(element, size, range);
        for (int problem = 0; problem < FewProblems; problem++)
        {
            TensorCoreProblem.Random(random, size == typeof(TensorCoreSize64) ? 64 : 128, element == typeof(HalfTensorCore))
                .WithGarbage(random).AssertTensorKernelAgrees(program, range, $"seed {seed}, problem {problem}");
        }
    }

    [Fact]
    public void The_mean_of_numbers_whose_sum_overflows_is_finite()
    {
        PtxProgram program = Compile(typeof(BFloat16TensorCore), typeof(TensorCoreSize64), typeof(CausalRange));
        TensorCoreProblem.Random(new Random(3), 64, half: false).WithLargeValues()
            .AssertTensorKernelAgrees(program, typeof(CausalRange), "large values");
    }

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

    [Theory]
    [InlineData("bar.sync", "", "a race")]
    [InlineData("cp.async.wait_group 1;", "", "expected")]
    [InlineData(".trans", "", "expected")]
    [InlineData("{s4, s5, s6, s7}, {a0, a1, a2, a3}, {b2, b3}", "{s4, s5, s6, s7}, {a0, a1, a2, a3}, {b3, b2}", "expected")]
    [InlineData("selp.f32 s6, 0fFF800000", "selp.f32 s6, s6", "expected")]
    [InlineData("@p0 st.global", "st.global", "outside every buffer")]
    public void A_fault_is_found(string instruction, string replacement, string message)
    {
        string ptx = PtxCompiler.Compile(
            CudaArchitecture.SM_80, PtxKernels.TensorAttention,
            PtxKernels.TensorArguments(typeof(HalfTensorCore), typeof(TensorCoreSize64), typeof(CausalRange)));
        int start = ptx.IndexOf(instruction, StringComparison.Ordinal);
        int end = instruction == "bar.sync" ? ptx.IndexOf(';', start) + 1 : start + instruction.Length;
        var program = new PtxProgram(ptx[..start] + replacement + ptx[end..]);
        var random = new Random(1);
        Exception? exception = null;
        for (int problem = 0; problem < Problems && exception is null; problem++)
            exception = Record.Exception(() => TensorCoreProblem.Random(random, 64, half: true).AssertTensorKernelAgrees(program, typeof(CausalRange), "with a fault"));
        Assert.NotNull(exception);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    private static PtxProgram Compile(Type element, Type size, Type range) =>
        new(PtxCompiler.Compile(CudaArchitecture.SM_80, PtxKernels.TensorAttention, PtxKernels.TensorArguments(element, size, range)));
}
