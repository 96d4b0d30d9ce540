using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>A linear layer: <c>output[rows, columns] = input[rows, depth] * weight[columns, depth]^T + bias</c>.</summary>
internal readonly record struct LinearSignature : ISignature<LinearExtent, LinearBuffers>
{
    /// <summary>How input, weight, bias and output are stored.</summary>
    public required ElementType Element { get; init; }

    public required int Columns { get; init; }

    public required int Depth { get; init; }

    public bool HasBias { get; init; }

    /// <summary>Whether the weight has the form that <see cref="PanelSignature"/> makes.</summary>
    public bool IsWeightPanelled { get; init; }

    /// <summary>Whether a row's results may not depend on how many rows there are.</summary>
    public bool BatchInvariant { get; init; }
}

/// <summary>The sizes of one call of a linear layer.</summary>
internal readonly struct LinearExtent
{
    public required int Rows { get; init; }

    /// <summary>Where the output's rows and columns lie; the input is contiguous.</summary>
    public required HeadLayout Output { get; init; }
}

/// <summary>The memory that a linear plan runs on.</summary>
internal readonly struct LinearBuffers
{
    public DeviceMemory Input { get; init; }

    public DeviceMemory Weight { get; init; }

    public DeviceMemory Bias { get; init; }

    public DeviceMemory Output { get; init; }
}

/// <summary>
/// Rearranges the weight of a linear layer, once and in place, into the order in which a backend reads it best. The weight stays as large,
/// and
/// a multiple of <c>IOperators.PanelRows</c> rows stays together, so that a slice of a panelled weight is a panelled weight.
/// </summary>
internal readonly record struct PanelSignature(ElementType Element, int Depth) : ISignature<PanelExtent, PanelBuffers>;

/// <summary>The rows of a weight; a multiple of <c>IOperators.PanelRows</c>.</summary>
internal readonly record struct PanelExtent(int Rows);

/// <summary>The weight.</summary>
internal readonly record struct PanelBuffers(DeviceMemory Weight);
