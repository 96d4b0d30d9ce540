using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Processor;

/// <summary>
/// Rearranges the operands of products for processors: panels of 8 rows of the left and 16 columns of the right operand, one line of floats
/// a step of depth, so that the inner loop's loads are neighbours, and conversions and layouts are done with before it. Goto and van de
/// Geijn, "Anatomy of high-performance matrix multiplication" (2008).
/// </summary>
public static class PanelKernel
{
    /// <summary>One thread a line of a panel: a load, a conversion and a store a float. What lies outside a matrix becomes 0.</summary>
    public static void Pack<TRows>(PanelArguments shape, int batch, TRows source, ArrayView<Sequence> sequences, ArrayView<float> panels)
        where TRows : struct, IMatrixRows
    {
        long index = Grid.LongGlobalIndex.X;
        if (index >= batch * shape.Matrices * shape.MatrixLines)
            return;
        int matrix = (int)(index / shape.MatrixLines);
        int inMatrix = (int)(index % shape.MatrixLines);
        int line = inMatrix % shape.PanelDepth;
        int firstLane = inMatrix / shape.PanelDepth * shape.Lanes;
        Sequence sequence = shape.HasSequences != 0 ? sequences[matrix / shape.Matrices] : shape.Sequence;
        int start = shape.RowsAreQueries != 0 ? sequence.QueryStart : sequence.KeyStart;
        int rows = shape.RowsAreQueries != 0 ? sequence.QueryLength : sequence.KeyLength;
        long origin = source.Origin(matrix, 0);
        for (int lane = 0; lane < shape.Lanes; lane++)
        {
            int row = shape.RowsAreLanes != 0 ? firstLane + lane : line;
            int column = shape.RowsAreLanes != 0 ? line : firstLane + lane;
            panels[index * shape.Lanes + lane] =
                row < rows && column < shape.Columns ? source.Load(source.Row(origin, start + row), column) : 0f;
        }
    }
}
