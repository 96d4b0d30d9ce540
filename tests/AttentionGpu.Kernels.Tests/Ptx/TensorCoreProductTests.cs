using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Matmul;
using AttentionGpu.Kernels.TensorCore;
using ILGPU.Runtime.Cuda;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>The tensor cores' matrix product, run on <see cref="PtxMachine"/>, against sums in float64.</summary>
public class TensorCoreProductTests
{
    private const int Problems = 20;
    private const ushort NotANumber = 0x7FFF;

    [Theory]
    [InlineData(typeof(HalfTensorCore))]
    [InlineData(typeof(BFloat16TensorCore))]
    public void Agrees_with_the_definition(Type element) => AssertAgrees(element, (random, sizes) => new HeadLayout
    {
        InnerRows = sizes.Rows,
        InnerRowStride = sizes.Columns + 8 * random.Next(3),
        HeadSize = sizes.Columns,
    });

    [Theory]
    [InlineData(typeof(HalfTensorCore))]
    [InlineData(typeof(BFloat16TensorCore))]
    public void Splits_heads_as_their_layout_says(Type element) => AssertAgrees(element, (random, sizes) =>
    {
        // Heads of 8 to all columns, rows batch by batch or position by position, and gaps anywhere.
        int[] headSizes = [.. Enumerable.Range(1, sizes.Columns / 8).Select(pieces => 8 * pieces).Where(size => sizes.Columns % size == 0)];
        int[] innerRows = [.. Enumerable.Range(1, sizes.Rows).Where(rows => sizes.Rows % rows == 0)];
        int headSize = headSizes[random.Next(headSizes.Length)];
        int inner = innerRows[random.Next(innerRows.Length)];
        int heads = sizes.Columns / headSize;
        int outer = sizes.Rows / inner;
        int row = headSize + 8 * random.Next(2);
        bool rowsOuter = random.Next(2) == 0;
        return new HeadLayout
        {
            InnerRows = inner,
            OuterRowStride = rowsOuter ? (long)heads * inner * row : row,
            InnerRowStride = rowsOuter ? row : (long)heads * outer * row,
            HeadSize = headSize,
            HeadStride = rowsOuter ? (long)inner * row : (long)outer * row,
        };
    });

    private static void AssertAgrees(Type element, Func<Random, MatmulArguments, HeadLayout> chooseLayout)
    {
        bool half = element == typeof(HalfTensorCore);
        int seed = Random.Shared.Next();
        var random = new Random(seed);
        var program = new PtxProgram(PtxCompiler.Compile(CudaArchitecture.SM_80, PtxKernels.TensorMatmul, element));
        for (int problem = 0; problem < Problems; problem++)
        {
            var sizes = new MatmulArguments { Rows = random.Next(1, 100), Columns = 8 * random.Next(1, 25), Depth = 8 * random.Next(1, 20) };
            ushort[] left = Fill(sizes.Rows * sizes.Depth);
            ushort[] right = Fill(sizes.Columns * sizes.Depth);
            ushort[]? bias = random.Next(2) == 0 ? null : Fill(sizes.Columns);
            HeadLayout layout = chooseLayout(random, sizes);
            ushort[] memory = Run(program, sizes, layout, left, right, bias);
            var written = new HashSet<long>();
            for (int i = 0; i < sizes.Rows * sizes.Columns; i++)
            {
                long place = layout.Row(i / sizes.Columns) + layout.Column(i % sizes.Columns);
                Assert.True(written.Add(place), "A layout of this test maps two elements to one place.");
                ushort actual = memory[place];
                double expected = bias is null ? 0.0 : Load(bias[i % sizes.Columns]);
                double bound = 0.0;
                for (int d = 0; d < sizes.Depth; d++)
                {
                    double product = (double)Load(left[i / sizes.Columns * sizes.Depth + d]) * Load(right[i % sizes.Columns * sizes.Depth + d]);
                    expected += product;
                    bound += Math.Abs(product);
                }

                // One rounding of the result, and the sum's own in float32.
                double tolerance = Math.Abs(expected) / (half ? 2048 : 256) + bound * 1e-6 + 1e-7;
                Assert.True(
                    Math.Abs(Load(actual) - expected) <= tolerance,
                    $"seed {seed}, problem {problem}, {sizes.Rows} x {sizes.Columns} x {sizes.Depth}, element {i}: {Load(actual)}, expected {expected}.");
            }

            for (int i = 0; i < memory.Length; i++)
                Assert.True(written.Contains(i) || memory[i] == NotANumber, $"seed {seed}, problem {problem}: gap {i} was written.");
        }

        ushort[] Fill(int count) => [.. Enumerable.Range(0, count).Select(_ => Store(random.NextSingle() * 2f - 1f))];

        ushort Store(float value) => half ? HalfElement.FromSingle(value).Bits : BFloat16Element.FromSingle(value).Bits;

        float Load(ushort bits) => half ? new HalfElement { Bits = bits }.ToSingle() : new BFloat16Element { Bits = bits }.ToSingle();
    }

    private static ushort[] Run(PtxProgram program, MatmulArguments sizes, HeadLayout layout, ushort[] left, ushort[] right, ushort[]? bias)
    {
        var memory = new PtxGlobalMemory();
        long last = Enumerable.Range(0, sizes.Rows).Max(layout.Row) + Enumerable.Range(0, sizes.Columns).Max(layout.Column);
        var result = new ushort[last + 1];
        Array.Fill(result, NotANumber);
        ulong address = memory.Add<ushort>(result);
        var shape = new TensorCoreMatmulArguments
        {
            Sizes = sizes,
            Left = (long)memory.Add<ushort>(left),
            Right = (long)memory.Add<ushort>(right),
            Bias = bias is null ? 0 : (long)memory.Add<ushort>(bias),
            Result = (long)address,
            ResultLayout = layout,
            IsResultSplit = layout.InnerRows < sizes.Rows || layout.HeadSize < sizes.Columns ? 1 : 0,
        };
        new PtxMachine(program, memory).With(0, shape).Run((int)TensorCoreMatmulKernel.GroupCount(sizes), TensorCoreTiles.Threads);
        return memory.Get<ushort>(address).ToArray();
    }
}
