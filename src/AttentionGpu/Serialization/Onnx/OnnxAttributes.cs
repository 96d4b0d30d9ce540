namespace AttentionGpu.Serialization.Onnx;

/// <summary>The attributes of a node that tell how it uses tensors (<c>AttributeProto</c> of <c>onnx.proto</c>).</summary>
/// <param name="reader">Is in the node.</param>
internal sealed class OnnxAttributes(ProtobufReader reader)
{
    // The fields of one attribute come in any order, the name last too.
    private string _name = "";
    private float _number;
    private long _integer;
    private OnnxTensor? _tensor;
    private List<long> _integers = [];

    /// <summary><c>perm</c> of <c>Transpose</c>; empty where there is none.</summary>
    public IReadOnlyList<long> Permutation { get; private set; } = [];

    /// <summary><c>transB</c> of <c>Gemm</c>.</summary>
    public bool IsSecondTransposed { get; private set; }

    /// <summary>Whether <c>alpha</c> or <c>beta</c> of <c>Gemm</c> is not 1.</summary>
    public bool IsScaled { get; private set; }

    /// <summary><c>value</c> of <c>Constant</c>.</summary>
    public OnnxTensor? Value { get; private set; }

    /// <summary>Whether one is a graph, as those of <c>If</c> and <c>Loop</c> are.</summary>
    public bool HasGraph { get; private set; }

    /// <summary>Reads an attribute.</summary>
    public bool ReadNext()
    {
        (_name, _number, _integer, _tensor, _integers) = ("", 0f, 0, null, []);
        reader.ReadMessage(ReadField);
        switch (_name)
        {
            case "perm":
                Permutation = _integers;
                break;
            case "transB":
                IsSecondTransposed = _integer != 0;
                break;
            case "alpha" or "beta":
                IsScaled |= _number != 1f;
                break;
            case "value":
                Value = _tensor;
                break;
        }

        return true;
    }

    private bool ReadField(int field)
    {
        switch (field)
        {
            case 1:
                _name = reader.ReadText();
                return true;
            case 2:
                _number = reader.ReadFloat();
                return true;
            case 3:
                _integer = reader.ReadNumber();
                return true;
            case 5:
                _tensor = new OnnxTensorReader(reader).Read("constant");
                return true;
            case 8:
                // A matrix has two axes; more than the most tell that it is something else.
                reader.ReadNumbers(number =>
                {
                    if (_integers.Count <= SafetensorsHeader.MaxRank)
                        _integers.Add(number);
                });
                return true;
            case 6 or 11:
                HasGraph = true;
                return false;
            default:
                return false;
        }
    }
}
