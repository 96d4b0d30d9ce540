namespace AttentionGpu.Serialization.Onnx;

/// <summary>Reads what a <c>TensorProto</c> of <c>onnx.proto</c> says; its elements are passed over.</summary>
/// <param name="reader">Is at the field that is the tensor.</param>
internal sealed class OnnxTensorReader(ProtobufReader reader)
{
    // TensorProto.DataType.
    private static readonly Dictionary<long, SafetensorsType> _types = new()
    {
        [1] = SafetensorsType.F32,
        [2] = SafetensorsType.U8,
        [3] = SafetensorsType.I8,
        [4] = SafetensorsType.U16,
        [5] = SafetensorsType.I16,
        [6] = SafetensorsType.I32,
        [7] = SafetensorsType.I64,
        [9] = SafetensorsType.Bool,
        [10] = SafetensorsType.F16,
        [11] = SafetensorsType.F64,
        [12] = SafetensorsType.U32,
        [13] = SafetensorsType.U64,
        [16] = SafetensorsType.BF16,
        [17] = SafetensorsType.F8E4M3,
        [19] = SafetensorsType.F8E5M2,
    };

    private readonly List<long> _lengths = [];
    private string _name = "";
    private long _type;
    private (long Start, long End)? _data;
    private string? _otherData;

    /// <param name="name">The name of a tensor without one.</param>
    /// <exception cref="InvalidDataException">The tensor breaks a rule.</exception>
    public OnnxTensor Read(string name = "")
    {
        reader.ReadMessage(ReadField);
        _name = _name.Length > 0 ? _name : name;
        string shown = Excerpt.Of(_name);
        string shape = $"[{string.Join(", ", _lengths)}]";
        if (_name.Length == 0)
            throw new InvalidDataException("a tensor has no name");
        if (_lengths.Any(length => length < 0))
            throw new InvalidDataException($"the tensor '{shown}' has a negative length: {shape}");
        SafetensorsType type = _types.GetValueOrDefault(_type, SafetensorsType.Other);
        string typeName = type == SafetensorsType.Other ? $"{_type} of ONNX" : type == SafetensorsType.Bool ? "BOOL" : $"{type}";
        if (type.ByteLength(_lengths) is not long size)
            throw new InvalidDataException($"the shape of the tensor '{shown}' overflows: it is {shape} of {typeName}");

        // Without data anywhere else, no data is an empty raw_data.
        (long start, long end) = _data ?? (0, 0);
        if (end - start != size && _otherData is null && type != SafetensorsType.Other)
        {
            throw new InvalidDataException(
                $"the tensor '{shown}' has {end - start} bytes of data, but its shape {shape} of {typeName} needs {size}");
        }

        return new OnnxTensor(new SafetensorsEntry(_name, type, [.. _lengths.Select(length => (nint)length)])
        {
            TypeName = typeName,
            Start = start,
            End = end,
        })
        {
            Unreadable = _otherData,
        };
    }

    private bool ReadField(int field)
    {
        switch (field)
        {
            case 1:
                reader.ReadNumbers(AddLength);
                return true;
            case 2:
                _type = reader.ReadNumber();
                return true;
            case 8:
                _name = reader.ReadText();
                return true;
            case 4 or 10 when reader.IsBytes && _data is null:
                // Packed numbers of float_data and double_data are laid out as raw_data is.
                _data = reader.SkipBytes();
                return true;
            case 9:
                if (_data is not null)
                    throw new InvalidDataException($"the tensor '{Excerpt.Of(_name)}' has its data twice");
                _data = reader.SkipBytes();
                return true;
            case 4 or 5 or 6 or 7 or 10 or 11:
                _otherData ??= $"has its elements one by one in field {field} of TensorProto, which is not read; raw_data (field 9) is";
                return false;
            case 14:
                // DataLocation: 0 is this file.
                if (reader.ReadNumber() != 0)
                    _otherData = "has its elements in another file (external data), which is not read; save the model as one file";
                return true;
            default:
                return false;
        }
    }

    private void AddLength(long length)
    {
        if (_lengths.Count == SafetensorsHeader.MaxRank)
            throw new InvalidDataException($"a tensor has more than {SafetensorsHeader.MaxRank} axes");
        _lengths.Add(length);
    }
}
