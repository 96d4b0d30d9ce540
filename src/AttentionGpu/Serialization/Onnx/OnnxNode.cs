namespace AttentionGpu.Serialization.Onnx;

/// <summary>A node of the graph, as far as it tells how tensors are used.</summary>
internal sealed record OnnxNode
{
    /// <summary>The operator; of another domain than ONNX's own with the domain before it.</summary>
    public required string Type { get; init; }

    public required IReadOnlyList<string> Inputs { get; init; }

    public required IReadOnlyList<string> Outputs { get; init; }

    /// <summary>The order of axes of <c>Transpose</c>; empty for the reverse order.</summary>
    public required IReadOnlyList<long> Permutation { get; init; }

    /// <summary>Whether <c>Gemm</c> has its second matrix as [outputs, inputs].</summary>
    public required bool IsSecondTransposed { get; init; }

    /// <summary>Whether <c>Gemm</c> multiplies its product or its bias by a number.</summary>
    public required bool IsScaled { get; init; }

    /// <summary>The tensor of <c>Constant</c>.</summary>
    public required OnnxTensor? Value { get; init; }

    /// <summary>Names the node in messages.</summary>
    public override string ToString() => $"'{Excerpt.Of(Type)}' of '{Excerpt.Of(Outputs.Count > 0 ? Outputs[0] : "")}'";
}
