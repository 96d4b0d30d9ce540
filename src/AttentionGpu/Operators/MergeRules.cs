using AttentionGpu.Problems;
using AttentionGpu.Tensors;

namespace AttentionGpu.Operators;

/// <summary>Checks and lowers the shapes of a merge of states.</summary>
internal static class MergeRules
{
    private const int RaggedRank = 4;
    private const int DenseRank = 5;

    /// <exception cref="ArgumentException">A shape is wrong.</exception>
    public static MergeStatesExtent Lower(
        scoped ReadOnlySpan<nint> outputs, scoped ReadOnlySpan<nint> sums, scoped ReadOnlySpan<nint> output,
        scoped ReadOnlySpan<nint> sum)
    {
        const string rule =
            "must be [parts, batch, heads, query length, value head size], or [parts, tokens, heads, value head size] of ragged sequences";
        if (outputs.Length is not (RaggedRank or DenseRank))
            throw ShapeRules.Error(outputs, rule, "outputs");
        ShapeRules.RequireCounts(outputs, "outputs");
        if (outputs[0] < 1)
            throw ShapeRules.Error(outputs, "must have at least one part", "outputs");
        bool isRagged = outputs.Length == RaggedRank;
        int batch = isRagged ? 1 : (int)outputs[1];
        int heads = (int)outputs[2];
        int length = (int)(isRagged ? outputs[1] : outputs[3]);
        int size = (int)outputs[^1];
        if (size == 0)
            throw ShapeRules.Error(outputs, "must have a value head size of at least 1", "outputs");
        ReadOnlySpan<nint> ofPart = isRagged ? [heads, length] : [batch, heads, length];
        string axes = isRagged ? "[heads, tokens]" : "[batch, heads, query length]";
        ShapeRules.Require(sums, [outputs[0], .. ofPart], $"[parts, {axes[1..]}", "logSumExps");
        ShapeRules.Require(output, outputs[1..], "the shape of a part's outputs", "output");
        if (!sum.IsEmpty)
            ShapeRules.Require(sum, ofPart, axes, "logSumExp");
        return new MergeStatesExtent
        {
            Parts = (int)outputs[0],
            Batch = batch,
            Heads = heads,
            Length = length,
            Output = isRagged ? new TensorLayout(0, size, (long)heads * size) : TensorLayout.Contiguous(heads, length, size),
            LogSumExp = TensorLayout.Contiguous(heads, length, 1),
        };
    }
}
