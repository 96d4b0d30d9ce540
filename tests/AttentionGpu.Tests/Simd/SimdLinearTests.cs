using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Linear;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Products of a linear layer, for rows, columns and depths on and beside the borders of tiles, panels and blocks.</summary>
public unsafe class SimdLinearTests
{
    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 3)]
    [InlineData(256, 2)]
    [InlineData(128, 2)]
    public void Rows_and_columns_around_tiles_agree_with_float64(int width, int threads)
    {
        using var backend = new SimdBackend(width, threads);
        int lanes = backend.WeightPanelRows;
        foreach (int rows in new[] { 1, 2, 3, 4, 5, 6, 7, 12, 13, 47, 48, 49, 97 })
        {
            foreach (int columns in new[] { 1, 3, 4, 5, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + 5 })
                AssertProducts(backend, rows, columns, depth: 5);
        }

        // Depths around the four steps that are panelled together.
        foreach (int depth in new[] { 1, 2, 3, 4, 6, 7, 8, 9 })
            AssertProducts(backend, rows: 7, lanes + 3, depth);
    }

    /// <summary>A head's columns are neighbours in the output, and the next head's lie elsewhere: panels on, in and across heads.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Heads_around_panels_agree_with_float64(int width)
    {
        using var backend = new SimdBackend(width, threads: 2);
        int lanes = backend.WeightPanelRows;
        foreach (int headSize in new[] { 1, 3, lanes / 2, lanes - 1, lanes, lanes + 1, 2 * lanes })
            AssertProducts(backend, rows: 10, 3 * headSize, depth: 5, headSize, innerRows: 5);
    }

    /// <summary>Sums of blocks are added up. The machine's caches say how deep a block is.</summary>
    [Theory]
    [InlineData(512)]
    [InlineData(128)]
    public void Depths_around_a_block_agree_with_float64(int width)
    {
        using var backend = new SimdBackend(width, threads: 1);
        int block = width == 512
            ? SimdLinearPlan<Vector512<float>, Operations512>.BlockDepth
            : SimdLinearPlan<Vector128<float>, Operations128>.BlockDepth;
        foreach (int depth in new[] { block - 1, block, block + 1, 2 * block + 1 })
            AssertProducts(backend, rows: 2, backend.WeightPanelRows + 1, depth);
    }

    /// <summary>More rows than a block has: the weight is panelled once, for all of them.</summary>
    [Theory]
    [InlineData(1, -1)]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    public void Rows_around_a_block_agree_with_float64(int blocks, int more)
    {
        int rows = blocks * SimdLinearPlan<Vector512<float>, Operations512>.MaxRows + more;
        foreach (int width in SimdRuns.Widths)
        {
            using var backend = new SimdBackend(width, threads: 1);
            AssertProducts(backend, rows, backend.WeightPanelRows + 1, depth: 3);
        }
    }

    // With and without a bias, the weight plain and in panels.
    private static void AssertProducts(SimdBackend backend, int rows, int columns, int depth, int? headSize = null, int? innerRows = null)
    {
        var random = new Random(rows + columns);
        float[] input = Data.Flat(Data.Random(random, rows, depth));
        float[] weight = Data.Flat(Data.Random(random, columns, depth));
        float[] bias = Data.Flat(Data.Random(random, columns));
        int inner = innerRows ?? rows;
        int size = headSize ?? columns;

        // [outer, head, inner, element]
        var map = new MatrixMap(inner, (long)inner * columns, size, size, (long)inner * size);
        foreach (bool hasBias in new[] { false, true })
        {
            var expected = new float[rows * columns];
            for (int row = 0; row < rows; row++)
            {
                for (int column = 0; column < columns; column++)
                {
                    double sum = hasBias ? bias[column] : 0.0;
                    for (int i = 0; i < depth; i++)
                        sum += (double)input[row * depth + i] * weight[column * depth + i];
                    expected[map.Row(row) + map.Column(column)] = (float)sum;
                }
            }

            foreach (bool isRagged in new[] { false, true })
            {
                var problem = new LinearProblem
                {
                    Rows = rows,
                    Columns = columns,
                    Depth = depth,
                    HasBias = hasBias,
                    Output = map,
                    IsWeightPanelled = isRagged,
                };
                float[] actual = Run(backend, problem, input, weight, bias);
                Close.Assert(expected, actual, $"{rows} x {columns} x {depth}, heads of {size}, bias: {hasBias}, panels: {isRagged}");
            }
        }
    }

    private static float[] Run(SimdBackend backend, LinearProblem problem, float[] input, float[] weight, float[] bias)
    {
        int panelRows = backend.WeightPanelRows;
        int weightRows = (problem.Columns + panelRows - 1) / panelRows * panelRows;
        DeviceMemory weights = Rent(backend, weight, weightRows * problem.Depth);
        if (problem.IsWeightPanelled)
            backend.PanelWeight(weights, weightRows, problem.Depth);
        var buffers = new LinearBuffers
        {
            Input = Rent(backend, input, input.Length),
            Weight = weights,
            Bias = problem.HasBias ? Rent(backend, bias, bias.Length) : default,
            Output = Rent(backend, [], problem.Rows * problem.Columns),
        };
        backend.Plan(problem).Execute(buffers);
        float[] output = new ReadOnlySpan<float>(buffers.Output.Pointer<float>(), problem.Rows * problem.Columns).ToArray();
        backend.Return(buffers.Output);
        backend.Return(buffers.Input);
        backend.Return(weights);
        if (problem.HasBias)
            backend.Return(buffers.Bias);
        return output;
    }

    // The values, and NaN behind them.
    private static DeviceMemory Rent(SimdBackend backend, float[] values, int count)
    {
        DeviceMemory memory = backend.Rent((long)count * sizeof(float));
        var all = new Span<float>(memory.Pointer<float>(), count);
        all.Fill(float.NaN);
        values.CopyTo(all);
        return memory;
    }
}
