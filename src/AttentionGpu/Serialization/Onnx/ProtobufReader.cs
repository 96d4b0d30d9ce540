using Google.Protobuf;

namespace AttentionGpu.Serialization.Onnx;

/// <summary>
/// Walks the fields of protocol buffers in a stream. Nothing is read but what is asked for: data of megabytes is passed over by its
/// position.
/// </summary>
internal sealed class ProtobufReader : IDisposable
{
    private readonly Stream _stream;
    private CodedInputStream _input;

    // Where the message ends whose fields are read.
    private long _end;
    private WireFormat.WireType _wireType;

    /// <param name="stream">It has positions, and stays the caller's.</param>
    public ProtobufReader(Stream stream)
    {
        _stream = stream;
        _input = new CodedInputStream(stream, leaveOpen: true);
        _end = stream.Length;
    }

    // In the stream.
    private long Position => _input.Position;

    /// <summary>Reads the fields of the message that is the file.</summary>
    /// <param name="read">Reads a field by its number, or says by false that it is passed over.</param>
    /// <exception cref="InvalidDataException">The fields do not make a message.</exception>
    public void ReadFile(Func<int, bool> read)
    {
        try
        {
            ReadFields(read);
        }
        catch (InvalidProtocolBufferException exception)
        {
            throw new InvalidDataException(exception.Message, exception);
        }
    }

    /// <summary>Reads the fields of a message that is a field.</summary>
    public bool ReadMessage(Func<int, bool> read)
    {
        long outer = _end;
        _end = ReadEnd();
        ReadFields(read);
        _end = outer;
        return true;
    }

    public string ReadText()
    {
        Require(WireFormat.WireType.LengthDelimited);
        return _input.ReadString();
    }

    public long ReadNumber()
    {
        Require(WireFormat.WireType.Varint);
        return _input.ReadInt64();
    }

    public float ReadFloat()
    {
        Require(WireFormat.WireType.Fixed32);
        return _input.ReadFloat();
    }

    /// <summary>Reads a number of a list, or all of a list that is packed.</summary>
    public void ReadNumbers(Action<long> add)
    {
        if (_wireType == WireFormat.WireType.Varint)
        {
            add(_input.ReadInt64());
            return;
        }

        long end = ReadEnd();
        while (Position < end)
            add(_input.ReadInt64());
        if (Position > end)
            throw new InvalidDataException("a list of numbers goes over its end");
    }

    /// <summary>Whether a field is a run of bytes, as raw data and packed lists are.</summary>
    public bool IsBytes => _wireType == WireFormat.WireType.LengthDelimited;

    /// <summary>Where the bytes of a field lie in the stream; they are passed over.</summary>
    public (long Start, long End) SkipBytes()
    {
        long end = ReadEnd();
        long start = Position;
        _input.Dispose();
        _stream.Position = end;
        _input = new CodedInputStream(_stream, leaveOpen: true);
        return (start, end);
    }

    public void Dispose() => _input.Dispose();

    private void ReadFields(Func<int, bool> read)
    {
        long end = _end;
        while (Position < end)
        {
            uint tag = _input.ReadTag();
            _wireType = WireFormat.GetTagWireType(tag);
            if (!read(WireFormat.GetTagFieldNumber(tag)))
                _input.SkipLastField();
            if (Position > end)
                throw new InvalidDataException("a field goes over the end of its message");
        }
    }

    private long ReadEnd()
    {
        Require(WireFormat.WireType.LengthDelimited);
        long end = _input.ReadLength() + Position;
        return end >= Position && end <= _end
            ? end
            : throw new InvalidDataException("a field goes over the end of its message or of the file");
    }

    private void Require(WireFormat.WireType type)
    {
        if (_wireType != type)
            throw new InvalidDataException($"a field has the wire type {_wireType} where {type} is due");
    }
}
