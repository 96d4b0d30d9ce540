using System.Runtime.InteropServices;
using Google.Protobuf;

namespace AttentionGpu.Tests.Support;

/// <summary>
/// Writes an ONNX model of a few nodes whose tensors are graph inputs or constants. Field numbers are those of <c>onnx.proto</c>.
/// </summary>
internal sealed class OnnxModel
{
    /// <summary>ONNX Runtime's own operators.</summary>
    public const string MicrosoftDomain = "com.microsoft";

    private const int FloatElement = 1;
    private const int Int32Element = 6;
    private const int Int64Element = 7;
    private const int BooleanElement = 9;
    private const long IrVersion = 10;

    private readonly List<ByteString> _nodes = [];
    private readonly List<ByteString> _inputs = [];
    private readonly List<ByteString> _initializers = [];

    public string AddInput(string name, ReadOnlySpan<nint> lengths) => AddInput<float>(name, lengths);

    public string AddInput<T>(string name, ReadOnlySpan<nint> lengths)
    {
        int element = typeof(T) == typeof(bool) ? BooleanElement : typeof(T) == typeof(long) ? Int64Element : FloatElement;
        _inputs.Add(ValueInfo(name, element, lengths.ToArray()));
        return name;
    }

    /// <summary>A constant, which the runtime may rearrange once.</summary>
    public string AddConstant<T>(string name, T[] values, params ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        nint[] dimensions = lengths.ToArray();
        _initializers.Add(Message(writer =>
        {
            foreach (nint dimension in dimensions)
                Write(writer, 1, dimension);
            Write(writer, 2, typeof(T) == typeof(int) ? Int32Element : FloatElement);
            Write(writer, 8, name);
            Write(writer, 9, ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan())));
        }));
        return name;
    }

    public string AddNode(string type, string[] inputs, string[] outputs, params (string Name, object Value)[] attributes) =>
        AddNode("", type, inputs, outputs, attributes);

    public string AddNode(string domain, string type, string[] inputs, string[] outputs, params (string Name, object Value)[] attributes)
    {
        _nodes.Add(Message(writer =>
        {
            foreach (string input in inputs)
                Write(writer, 1, input);
            foreach (string output in outputs)
                Write(writer, 2, output);
            Write(writer, 4, type);
            foreach ((string name, object value) in attributes)
                Write(writer, 5, Attribute(name, value));
            if (domain.Length > 0)
                Write(writer, 7, domain);
        }));
        return outputs[0];
    }

    public byte[] Build(int opset, params string[] outputs) => Message(writer =>
    {
        Write(writer, 1, IrVersion);
        Write(writer, 8, Message(version =>
        {
            Write(version, 1, "");
            Write(version, 2, opset);
        }));
        Write(writer, 8, Message(version =>
        {
            Write(version, 1, MicrosoftDomain);
            Write(version, 2, 1);
        }));
        Write(writer, 7, Message(graph =>
        {
            foreach (ByteString node in _nodes)
                Write(graph, 1, node);
            Write(graph, 2, "graph");
            foreach (ByteString initializer in _initializers)
                Write(graph, 5, initializer);
            foreach (ByteString input in _inputs)
                Write(graph, 11, input);
            foreach (string output in outputs)
                Write(graph, 12, ValueInfo(output, FloatElement, null));
        }));
    }).ToByteArray();

    private static ByteString ValueInfo(string name, int element, nint[]? lengths) => Message(writer =>
    {
        Write(writer, 1, name);
        Write(writer, 2, Message(type => Write(type, 1, Message(tensor =>
        {
            Write(tensor, 1, element);
            if (lengths is null)
                return;
            Write(tensor, 2, Message(shape =>
            {
                foreach (nint length in lengths)
                    Write(shape, 1, Message(dimension => Write(dimension, 1, length)));
            }));
        }))));
    });

    private static ByteString Attribute(string name, object value) => Message(writer =>
    {
        Write(writer, 1, name);
        if (value is float number)
        {
            writer.WriteTag(2, WireFormat.WireType.Fixed32);
            writer.WriteFloat(number);
            Write(writer, 20, 1);
        }
        else
        {
            Write(writer, 3, (int)value);
            Write(writer, 20, 2);
        }
    });

    private static ByteString Message(Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new CodedOutputStream(stream, leaveOpen: true))
            write(writer);
        return ByteString.CopyFrom(stream.ToArray());
    }

    private static void Write(CodedOutputStream writer, int field, string value)
    {
        writer.WriteTag(field, WireFormat.WireType.LengthDelimited);
        writer.WriteString(value);
    }

    private static void Write(CodedOutputStream writer, int field, long value)
    {
        writer.WriteTag(field, WireFormat.WireType.Varint);
        writer.WriteInt64(value);
    }

    private static void Write(CodedOutputStream writer, int field, ByteString value)
    {
        writer.WriteTag(field, WireFormat.WireType.LengthDelimited);
        writer.WriteBytes(value);
    }
}
