using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>
/// How a [rows, columns] matrix lies in memory when its columns are heads and its rows (outer, inner) pairs. A plain matrix is one head.
/// </summary>
internal readonly record struct MatrixMap(
    int InnerRows, long OuterRowStride, long InnerRowStride, int HeadSize, long HeadStride)
{
    /// <summary>A contiguous matrix.</summary>
    public static MatrixMap Contiguous(int rows, int columns) =>
        new(Math.Max(rows, 1), 0, columns, Math.Max(columns, 1), 0);

    public long Row(int row) => row / InnerRows * OuterRowStride + row % InnerRows * InnerRowStride;

    public long Column(int column) => column / HeadSize * HeadStride + column % HeadSize;
}

/// <summary>A linear layer: <c>output[rows, columns] = input[rows, depth] * weight[columns, depth]^T + bias</c>.</summary>
internal sealed record LinearProblem
{
    public required int Rows { get; init; }

    public required int Columns { get; init; }

    public required int Depth { get; init; }

    public required bool HasBias { get; init; }

    /// <summary>What input, weight, bias and output are stored as.</summary>
    public ElementType Element { get; init; }

    /// <summary>Where the output's rows and columns lie; the input is contiguous.</summary>
    public required MatrixMap Output { get; init; }

    /// <summary>Whether the weight has gone through <see cref="Backends.IAttentionBackend.PanelWeight"/>.</summary>
    public bool IsWeightPanelled { get; init; }

    public bool IsEmpty => Rows == 0 || Columns == 0;
}

/// <summary>The memory that a linear plan runs on.</summary>
internal readonly struct LinearBuffers
{
    public DeviceMemory Input { get; init; }

    public DeviceMemory Weight { get; init; }

    public DeviceMemory Bias { get; init; }

    public DeviceMemory Output { get; init; }
}
