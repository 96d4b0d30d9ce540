namespace AttentionGpu.Serialization.Onnx;

/// <summary>A tensor of an ONNX model and how the graph multiplies with it.</summary>
internal sealed class OnnxMatrix(OnnxTensor tensor)
{
    private bool _isOutputsFirst;
    private bool _isInputsFirst;
    private string? _other;

    /// <summary>As it is stored.</summary>
    public OnnxTensor Tensor { get; } = tensor;

    /// <summary>Whether it is stored as [inputs, outputs].</summary>
    public bool IsTransposed => _isInputsFirst && !_isOutputsFirst;

    /// <summary>Why it cannot be read: what is said behind its name; null where it can.</summary>
    public string? Unreadable => Tensor.Unreadable
        ?? (_isInputsFirst && _isOutputsFirst ? "is multiplied by in both orders of its axes, and which is [outputs, inputs] is not known"
            : _other is null ? null
            : $"is an operand of a node '{Excerpt.Of(_other)}', which does not tell whether it is [outputs, inputs]");

    /// <summary>Notes a product of rows with the matrix.</summary>
    public void UseAs(bool isOutputsFirst)
    {
        _isOutputsFirst |= isOutputsFirst;
        _isInputsFirst |= !isOutputsFirst;
    }

    /// <summary>Notes a use that does not tell the order of its axes.</summary>
    public void UseBy(string type) => _other ??= type;
}
