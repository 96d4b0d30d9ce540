using System.Reflection;
using AttentionGpu.Kernels.Ranges;
using AttentionGpu.Kernels.TensorCores;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The tensor core kernel's PTX, run on <see cref="PtxMachine"/>, against attention by its definition in float64.</summary>
public class TensorKernelTests
{
    private const int Problems = 25;

    private static readonly MethodInfo _forward = typeof(TensorAttentionKernel).GetMethod(nameof(TensorAttentionKernel.Forward))!;

    public static TheoryData<Type, Type, Type> Kernels
    {
        get
        {
            var kernels = new TheoryData<Type, Type, Type>();
            foreach (Type element in new[] { typeof(HalfTensor), typeof(BFloat16Tensor) })
            {
                foreach (Type size in new[] { typeof(TensorSize64), typeof(TensorSize128) })
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
            var one = TensorProblem.Random(random, size == typeof(TensorSize64) ? 64 : 128, element == typeof(HalfTensor));
            one.AssertAgrees(program, range, $"seed {seed}, problem {problem}");
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
        string ptx = PtxCompiler.Compile(CudaArchitecture.SM_80, _forward, typeof(HalfTensor), typeof(TensorSize64), typeof(CausalRange));
        int start = ptx.IndexOf(instruction, StringComparison.Ordinal);
        int end = instruction == "bar.sync" ? ptx.IndexOf(';', start) + 1 : start + instruction.Length;
        var program = new PtxProgram(ptx[..start] + replacement + ptx[end..]);
        var random = new Random(1);
        Exception? exception = null;
        for (int problem = 0; problem < Problems && exception is null; problem++)
            exception = Record.Exception(() => TensorProblem.Random(random, 64, half: true).AssertAgrees(program, typeof(CausalRange), "with a fault"));
        Assert.NotNull(exception);
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    private static PtxProgram Compile(Type element, Type size, Type range) =>
        new(PtxCompiler.Compile(CudaArchitecture.SM_80, _forward, element, size, range));
}
