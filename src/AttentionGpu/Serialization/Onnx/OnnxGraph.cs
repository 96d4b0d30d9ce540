namespace AttentionGpu.Serialization.Onnx;

/// <summary>
/// The tensors and nodes of an ONNX model's graph. Field numbers are those of <c>onnx.proto</c> of the ONNX project (onnx/onnx.proto,
/// version 1.20), which never change: <c>ModelProto</c>, <c>GraphProto</c>, <c>NodeProto</c>, <c>AttributeProto</c>.
/// </summary>
internal sealed class OnnxGraph
{
    // A model of a thousand layers has some ten thousand nodes. Without a limit, a file of empty nodes would take many times its size.
    private const int MostParts = 1_000_000;

    private readonly ProtobufReader _reader;
    private readonly List<OnnxTensor> _tensors = [];
    private readonly List<OnnxNode> _nodes = [];
    private readonly List<string> _inputs = [];
    private bool _isRead;

    private OnnxGraph(ProtobufReader reader) => _reader = reader;

    /// <summary>The initialisers.</summary>
    public IReadOnlyList<OnnxTensor> Tensors => _tensors;

    /// <summary>The nodes, in the order of the file.</summary>
    public IReadOnlyList<OnnxNode> Nodes => _nodes;

    /// <summary>The names of the graph's inputs, which may be those of initialisers.</summary>
    public IReadOnlyList<string> Inputs => _inputs;

    /// <summary>Reads the graph of a file; elements of tensors are passed over.</summary>
    /// <exception cref="InvalidDataException">The file is no ONNX model, or has parts that are not read.</exception>
    public static OnnxGraph Read(Stream stream)
    {
        using var reader = new ProtobufReader(stream);
        var graph = new OnnxGraph(reader);
        reader.ReadFile(graph.ReadModelField);
        return graph._isRead ? graph : throw new InvalidDataException("it has no graph");
    }

    // ModelProto
    private bool ReadModelField(int field)
    {
        if (field != 7)
            return false;
        if (_isRead)
            throw new InvalidDataException("it has two graphs");
        _isRead = true;
        return _reader.ReadMessage(ReadGraphField);
    }

    // GraphProto
    private bool ReadGraphField(int field)
    {
        switch (field)
        {
            case 1:
                Add(_nodes, ReadNode(), "nodes");
                return true;
            case 5:
                Add(_tensors, new OnnxTensorReader(_reader).Read(), "initialisers");
                return true;
            case 11:
                return _reader.ReadMessage(ReadInputField);
            case 15:
                throw new InvalidDataException("it has sparse initialisers, which are not read");
            default:
                return false;
        }
    }

    // ValueInfoProto
    private bool ReadInputField(int field)
    {
        if (field != 1)
            return false;
        Add(_inputs, _reader.ReadText(), "inputs");
        return true;
    }

    private OnnxNode ReadNode()
    {
        (string type, string domain) = ("", "");
        List<string> inputs = [];
        List<string> outputs = [];
        var attributes = new OnnxAttributes(_reader);
        _reader.ReadMessage(field =>
        {
            switch (field)
            {
                case 1:
                    inputs.Add(_reader.ReadText());
                    return true;
                case 2:
                    outputs.Add(_reader.ReadText());
                    return true;
                case 4:
                    type = _reader.ReadText();
                    return true;
                case 5:
                    return attributes.ReadNext();
                case 7:
                    domain = _reader.ReadText();
                    return true;
                default:
                    return false;
            }
        });
        if (attributes.HasGraph)
        {
            throw new InvalidDataException(
                $"it has a node '{Excerpt.Of(type)}' with a graph of its own, which is not read; give the model as exported without it");
        }

        return new OnnxNode
        {
            Type = domain is "" or "ai.onnx" ? type : $"{domain}.{type}",
            Inputs = inputs,
            Outputs = outputs,
            Permutation = attributes.Permutation,
            IsSecondTransposed = attributes.IsSecondTransposed,
            IsScaled = attributes.IsScaled,
            Value = attributes.Value,
        };
    }

    private static void Add<T>(List<T> parts, T part, string name)
    {
        if (parts.Count == MostParts)
            throw new InvalidDataException($"it has more than {MostParts:N0} {name}");
        parts.Add(part);
    }
}
