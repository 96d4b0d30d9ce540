using AttentionGpu.Elements;
using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>The shapes of a call of a linear layer.</summary>
internal readonly ref struct LinearRules
{
    public required ReadOnlySpan<nint> Input { get; init; }

    public required ReadOnlySpan<nint> Weight { get; init; }

    public required ElementType Element { get; init; }

    public bool HasBias { get; init; }

    public ReadOnlySpan<nint> Bias { get; init; }

    public required ReadOnlySpan<nint> Output { get; init; }

    public bool BatchInvariant { get; init; }

    /// <summary>Validates the call and lowers it.</summary>
    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    public (LinearSignature Signature, LinearExtent Extent) Lower()
    {
        ShapeRules.RequireRank(Weight, 2, "[output size, input size]", "weight");
        if (Input.Length == 0)
            throw ShapeRules.Error(Input, "must be [..., input size]", "input");
        ShapeRules.RequireCounts(Input, "input");
        ShapeRules.RequireCounts(Weight, "weight");
        (int columns, int depth) = ((int)Weight[0], (int)Weight[1]);
        if (columns == 0 || depth == 0)
            throw ShapeRules.Error(Weight, "must have sizes of at least 1", "weight");
        ShapeRules.RequireAxis(Input, Input.Length - 1, depth, "the input size, as in weight", "input");
        if (HasBias)
            ShapeRules.Require(Bias, [columns], "[output size]", "bias");
        bool fits = Output.Length == Input.Length && Output[..^1].SequenceEqual(Input[..^1]) && Output[^1] == columns;
        if (!fits)
        {
            nint[] expected = [.. Input[..^1], columns];
            ShapeRules.Require(Output, expected, "[..., output size]", "output");
        }

        long rows = ShapeRules.Count(Input[..^1]);
        if (rows > int.MaxValue)
            throw ShapeRules.Error(Input, $"must have at most {int.MaxValue} rows", "input");
        return (
            new LinearSignature { Columns = columns, Depth = depth, HasBias = HasBias, Element = Element, BatchInvariant = BatchInvariant },
            new LinearExtent { Rows = (int)rows, Output = MatrixLayouts.Plain((int)rows, columns) });
    }
}
