using System.Runtime.Intrinsics;
using AttentionGpu.Backends;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Backends.Simd.Linear;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Memory;
using AttentionGpu.Problems;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Simd;

/// <summary>Products of a linear layer, for rows, columns and depths on and beside the borders of tiles, panels and blocks.</summary>
public sealed class SimdLinearTests : IDisposable
{
    private static readonly ElementType[] _elements = [ElementType.Float32, ElementType.Float16, ElementType.BFloat16];

    private readonly PlanMemory _memory = new();

    public void Dispose() => _memory.Dispose();

    [Theory]
    [InlineData(512, 1)]
    [InlineData(512, 3)]
    [InlineData(256, 2)]
    [InlineData(128, 2)]
    public void Rows_and_columns_around_tiles_agree_with_float64(int width, int threads)
    {
        using var backend = new SimdBackend(width, threads);
        int lanes = backend.PanelRows(ElementType.Float32);
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
        int lanes = backend.PanelRows(ElementType.Float32);
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
            ? LinearSchedule<Vector512<float>, Operations512>.BlockDepth
            : LinearSchedule<Vector128<float>, Operations128>.BlockDepth;
        foreach (int depth in new[] { block - 1, block, block + 1, 2 * block + 1 })
            AssertProducts(backend, rows: 2, backend.PanelRows(ElementType.Float32) + 1, depth);
    }

    /// <summary>More rows than a block has: the weight is panelled once, for all of them.</summary>
    [Theory]
    [InlineData(1, -1)]
    [InlineData(1, 0)]
    [InlineData(1, 1)]
    [InlineData(2, 1)]
    public void Rows_around_a_block_agree_with_float64(int blocks, int more)
    {
        int rows = blocks * LinearSchedule<Vector512<float>, Operations512>.MaxRows + more;
        foreach (int width in SimdRuns.Widths)
        {
            using var backend = new SimdBackend(width, threads: 1);
            AssertProducts(backend, rows, backend.PanelRows(ElementType.Float32) + 1, depth: 3);
        }
    }

    /// <summary>
    /// Converted blocks of a few rows are as deep as L1 allows: depths around them, and rows around those that have them.
    /// </summary>
    [Theory]
    [InlineData(512)]
    [InlineData(256)]
    [InlineData(128)]
    public void Depths_around_a_converted_block_agree_with_float64(int width)
    {
        using var backend = new SimdBackend(width, threads: 2);
        int lanes = backend.PanelRows(ElementType.Float16);
        int block = 4096 / lanes;
        foreach (int rows in new[] { 1, 12, 13 })
        {
            foreach (int depth in new[] { block - 1, block, block + 1, 3 * block + 1 })
                AssertProducts(backend, rows, lanes + 1, depth);
        }
    }

    [Fact]
    public void Weights_that_do_not_fill_their_panels_are_refused()
    {
        using var backend = new SimdBackend(512);
        IPlan<PanelExtent, PanelBuffers> plan =
            backend.Plan<PanelSignature, PanelExtent, PanelBuffers>(new PanelSignature(ElementType.Float32, Depth: 3));
        var error = Assert.Throws<ArgumentException>(() => plan.Execute(new PanelExtent(65), default, default));
        Assert.Contains("multiple of 64, not 65", error.Message, StringComparison.Ordinal);
    }

    // With and without a bias, the weight plain and in panels, in every element type.
    private void AssertProducts(SimdBackend backend, int rows, int columns, int depth, int? headSize = null, int? innerRows = null)
    {
        var random = new Random(rows + columns);
        int inner = innerRows ?? rows;
        int size = headSize ?? columns;

        // [outer, head, inner, element]
        var layout = new HeadLayout
        {
            InnerRows = inner,
            OuterRowStride = (long)inner * columns,
            InnerRowStride = size,
            HeadSize = size,
            HeadStride = (long)inner * size,
        };
        foreach (ElementType element in _elements)
        {
            DeviceMemory input = _memory.Random(random, element, rows * depth);
            DeviceMemory weight = _memory.Random(random, element, columns * depth);
            DeviceMemory bias = _memory.Random(random, element, columns);
            foreach (bool hasBias in new[] { false, true })
            {
                var signature = new LinearSignature { Element = element, Columns = columns, Depth = depth, HasBias = hasBias };
                var extent = new LinearExtent { Rows = rows, Output = layout };
                var buffers = new LinearBuffers { Input = input, Weight = weight, Bias = bias };
                float[] expected = Products(signature, extent, buffers);
                foreach (bool isPanelled in new[] { false, true })
                {
                    float[] actual = Run(backend, signature with { IsWeightPanelled = isPanelled }, extent, buffers);
                    double tolerance = element switch
                    {
                        ElementType.Float32 => Close.Tolerance,
                        ElementType.Float16 => 1.0 / 2048,
                        _ => 1.0 / 256,
                    };
                    string context = $"{rows} x {columns} x {depth}, {element}, heads of {size}, bias: {hasBias}, panels: {isPanelled}";
                    Close.Assert(expected, actual, context, tolerance);
                }
            }
        }
    }

    private static float[] Products(in LinearSignature signature, in LinearExtent extent, in LinearBuffers buffers)
    {
        float[] input = PlanMemory.Read(buffers.Input, signature.Element, extent.Rows * signature.Depth);
        float[] weight = PlanMemory.Read(buffers.Weight, signature.Element, signature.Columns * signature.Depth);
        float[] bias = PlanMemory.Read(buffers.Bias, signature.Element, signature.Columns);
        var products = new float[extent.Rows * signature.Columns];
        for (int row = 0; row < extent.Rows; row++)
        {
            for (int column = 0; column < signature.Columns; column++)
            {
                double sum = signature.HasBias ? bias[column] : 0.0;
                for (int i = 0; i < signature.Depth; i++)
                    sum += (double)input[row * signature.Depth + i] * weight[column * signature.Depth + i];
                products[extent.Output.Row(row) + extent.Output.Column(column)] = (float)sum;
            }
        }

        return products;
    }

    private float[] Run(SimdBackend backend, in LinearSignature signature, in LinearExtent extent, in LinearBuffers buffers)
    {
        DeviceMemory weight = buffers.Weight;
        if (signature.IsWeightPanelled)
        {
            // The values, and NaN behind them.
            int panelRows = backend.PanelRows(signature.Element);
            int weightRows = (signature.Columns + panelRows - 1) / panelRows * panelRows;
            float[] padded = new float[weightRows * signature.Depth];
            Array.Fill(padded, float.NaN);
            PlanMemory.Read(weight, signature.Element, signature.Columns * signature.Depth).CopyTo(padded, 0);
            weight = _memory.Of(signature.Element, padded);
            var panels = new PanelSignature(signature.Element, signature.Depth);
            _memory.Run(backend, panels, new PanelExtent(weightRows), new PanelBuffers(weight));
        }

        int count = extent.Rows * signature.Columns;
        var all = new LinearBuffers
        {
            Input = buffers.Input,
            Weight = weight,
            Bias = buffers.Bias,
            Output = _memory.Poisoned(signature.Element, count),
        };
        _memory.Run(backend, signature, extent, all);
        return PlanMemory.Read(all.Output, signature.Element, count);
    }
}
