using System.Reflection;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.Tiled.Softmax;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// The PTX of the kernels over scores, run on <see cref="PtxMachine"/>, which refuses accesses that are not aligned: rows that are read
/// four scores at once, and rows that are not.
/// </summary>
public class RowKernelTests
{
    private const int Batch = 2;
    private const int Heads = 3;
    private const int Queries = 5;
    private const int Threads = 8;
    private const int CausalOffset = 2;

    private readonly int _seed = new Random().Next();

    [Theory]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(52)]
    [InlineData(3)]
    public void Weights_agree_with_the_definition(int keys)
    {
        (float[] scores, double[] weights) = Problem(keys);
        var memory = new PtxGlobalMemory();
        ulong address = memory.Add<float>(scores);
        Machine(nameof(MaskedSoftmaxKernel.Normalize), memory, Shape(keys), address, typeof(CausalRange), typeof(NoVariant))
            .With(2, new PtxView(address)).With(3, new PtxView(address)).Run(Batch * Heads * Queries, Threads);
        AssertClose(weights, memory.Get<float>(address), 1e-6);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(21)]
    public void Scores_go_to_their_tensor_as_a_range_leaves_them(int keys)
    {
        (float[] scores, double[] weights) = Problem(keys);
        var memory = new PtxGlobalMemory();
        ulong address = memory.Add<float>(scores);
        ulong target = memory.Add<Half>([.. Enumerable.Repeat(Half.NaN, scores.Length)]);
        Machine(
            nameof(MaskedSoftmaxKernel.Store), memory, Shape(keys), address, typeof(NativeHalfElement), typeof(CausalRange),
            typeof(NoVariant))
            .With(2, new PtxView(target)).With(3, new PtxView(address)).Run(Groups(Batch * Heads * Queries), Threads);
        Half[] actual = memory.Get<Half>(target).ToArray();
        for (int i = 0; i < scores.Length; i++)
            Assert.Equal(weights[i] == 0.0 ? Half.NegativeInfinity : (Half)scores[i], actual[i]);
    }

    [Theory]
    [InlineData(16)]
    [InlineData(6)]
    public void Means_of_heads_agree_with_the_definition(int keys)
    {
        (float[] scores, _) = Problem(keys);
        var memory = new PtxGlobalMemory();
        ulong target = memory.Add<float>([.. Enumerable.Repeat(float.NaN, Batch * Queries * keys)]);
        SoftmaxArguments shape = Shape(keys);
        shape.Rows = Batch * Queries;
        MethodInfo kernel = typeof(AverageHeadsKernel).GetMethod(nameof(AverageHeadsKernel.Average))!;
        new PtxMachine(new PtxProgram(PtxCompiler.Compile(CudaArchitecture.SM_75, kernel, typeof(SingleElement))), memory)
            .With(0, shape).With(1, new PtxView(memory.Add<float>(scores))).With(2, new PtxView(target))
            .Run(Groups(shape.Rows), Threads);
        double[] expected = [.. from batch in Enumerable.Range(0, Batch)
            from element in Enumerable.Range(0, Queries * keys)
            select Enumerable.Range(0, Heads).Average(head => (double)scores[(batch * Heads + head) * Queries * keys + element])];
        AssertClose(expected, memory.Get<float>(target), 1e-6);
    }

    private static PtxMachine Machine(
        string kernel, PtxGlobalMemory memory, SoftmaxArguments shape, ulong scores, params Type[] arguments) =>
        new PtxMachine(
            new PtxProgram(PtxCompiler.Compile(CudaArchitecture.SM_75, typeof(MaskedSoftmaxKernel).GetMethod(kernel)!, arguments)), memory)
            .With(0, shape).With(1, new PtxView(scores));

    // Two threads share a row.
    private static SoftmaxArguments Shape(int keys) => new()
    {
        Heads = Heads,
        QueryLength = Queries,
        KeyLength = keys,
        Sequence = new Sequence { QueryLength = Queries, KeyLength = keys, CausalOffset = CausalOffset },
        Rows = Batch * Heads * Queries,
        LaneShift = 1,
        IsAligned = keys % 4 == 0 ? 1 : 0,
    };

    private static int Groups(int rows) => (rows + Threads / 2 - 1) / (Threads / 2);

    private static void AssertClose(double[] expected, ReadOnlySpan<float> actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
            Assert.Equal(expected[i], actual[i], tolerance);
    }

    private (float[] Scores, double[] Weights) Problem(int keys)
    {
        var random = new Random(_seed);
        float[] scores = [.. Enumerable.Range(0, Batch * Heads * Queries * keys).Select(_ => 6f * random.NextSingle() - 3f)];
        double[] weights = new double[scores.Length];
        for (int row = 0; row < Batch * Heads * Queries; row++)
        {
            int visible = Math.Min(keys, row % Queries + CausalOffset + 1);
            double[] exponentials = [.. Enumerable.Range(0, visible).Select(key => Math.Exp(scores[row * keys + key]))];
            for (int key = 0; key < visible; key++)
                weights[row * keys + key] = exponentials[key] / exponentials.Sum();
        }

        return (scores, weights);
    }
}
