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

    private const long IrVersion = 10;

    private readonly List<ByteString> _nodes = [];
    private readonly List<ByteString> _inputs = [];
    private readonly List<ByteString> _initializers = [];

    public string AddInput(string name, ReadOnlySpan<nint> lengths) => AddInput<float>(name, lengths);

    public string AddInput<T>(string name, ReadOnlySpan<nint> lengths)
    {
        _inputs.Add(ValueInfo(name, Element(typeof(T)), lengths.ToArray()));
        return name;
    }

    /// <summary>A constant, which the runtime may rearrange once.</summary>
    public string AddConstant<T>(string name, T[] values, params ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        _initializers.Add(StoredTensor(name, values, lengths));
        return name;
    }

    /// <summary>A tensor in the form of the file, for an attribute.</summary>
    public static ByteString StoredTensor<T>(string name, T[] values, params ReadOnlySpan<nint> lengths)
        where T : unmanaged
    {
        nint[] dimensions = lengths.ToArray();
        return Message(writer =>
        {
            foreach (nint dimension in dimensions)
                Write(writer, 1, dimension);
            Write(writer, 2, Element(typeof(T)));
            Write(writer, 8, name);
            Write(writer, 9, ByteString.CopyFrom(MemoryMarshal.AsBytes(values.AsSpan())));
        });
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

    public byte[] Build(int opset, params string[] outputs) => Build(opset, Array.ConvertAll(outputs, name => (name, typeof(float))));

    /// <summary>The model, with outputs of other element types.</summary>
    public byte[] Build(int opset, params (string Name, Type Element)[] outputs) => Message(writer =>
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
            foreach ((string name, Type element) in outputs)
                Write(graph, 12, ValueInfo(name, Element(element), null));
        }));
    }).ToByteArray();

    // TensorProto.DataType
    private static int Element(Type type) =>
        type == typeof(float) ? 1
        : type == typeof(byte) ? 2
        : type == typeof(sbyte) ? 3
        : type == typeof(int) ? 6
        : type == typeof(long) ? 7
        : type == typeof(bool) ? 9
        : type == typeof(Half) ? 10
        : type == typeof(BFloat16) ? 16
        : throw new ArgumentException($"{type} is no element type here.", nameof(type));

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
        else if (value is string text)
        {
            Write(writer, 4, text);
            Write(writer, 20, 3);
        }
        else if (value is ByteString tensor)
        {
            Write(writer, 5, tensor);
            Write(writer, 20, 4);
        }
        else if (value is int[] numbers)
        {
            foreach (int one in numbers)
                Write(writer, 8, one);
            Write(writer, 20, 7);
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
