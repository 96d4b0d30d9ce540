using System.Numerics.Tensors;

namespace AttentionGpu.Serialization.Onnx;

/// <summary>
/// The tensors of an ONNX model under the names of the Hub. Opening it reads the graph and passes over the elements, which are read when
/// they are asked for. May be used from many threads at once.
/// </summary>
internal sealed class OnnxFile : ITensorFile
{
    private readonly Stream _stream;
    private readonly IReadOnlyDictionary<string, OnnxMatrix> _tensors;
    private readonly TensorData _data;

    private OnnxFile(Stream stream, string path)
    {
        (_stream, Path) = (stream, path);
        _tensors = OnnxNames.Find(OnnxGraph.Read(stream));
        _data = new TensorData(stream, origin: 0, path, (what, inner) => Error(path, what, inner));
        Entries = _tensors.ToDictionary(pair => pair.Key, pair => Entry(pair.Key, pair.Value), StringComparer.Ordinal);
    }

    public const string Extension = ".onnx";

    public string Path { get; }

    /// <summary>What the file holds, by name. Matrices that the graph multiplies with are [outputs, inputs].</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries { get; }

    /// <summary>Opens a model and reads its graph.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is malformed, of another kind, quantised, or has graphs inside of nodes; or its graph has a circle or gives a name twice.
    /// </exception>
    public static OnnxFile Open(string path)
    {
        var stream = new FileStream(path, new FileStreamOptions { BufferSize = 0 });
        try
        {
            return new OnnxFile(stream, path);
        }
        catch (InvalidDataException exception)
        {
            stream.Position = 0;
            string? kind = FileKind.Describe(stream);
            stream.Dispose();
            if (kind is null or FileKind.Onnx)
                throw Error(path, exception.Message.TrimEnd('.'), exception);
            throw new InvalidDataException($"'{path}' is no ONNX model: it is {kind}.", exception);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public Tensor<float> Read(string name)
    {
        OnnxMatrix matrix = Find(name);
        Tensor<float> stored = _data.Read<float>(matrix.Tensor.Entry, round: true);
        return matrix.IsTransposed ? Tensor.Transpose(stored).ToDenseTensor() : stored;
    }

    // Matrices alone are transposed, and their elements are floating-point numbers: they are not read so.
    public byte[] ReadBytes(string name) => _data.ReadBytes(Find(name).Tensor.Entry);

    public void Dispose() => _stream.Dispose();

    private OnnxMatrix Find(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (!_tensors.TryGetValue(name, out OnnxMatrix? matrix))
            throw new InvalidDataException($"'{Path}' has no tensor '{Excerpt.Of(name)}'. It has: {SafetensorsFile.Summary(Entries)}.");
        return matrix.Unreadable is string reason
            ? throw new InvalidDataException($"The tensor '{Excerpt.Of(name)}' in '{Path}' {reason}.")
            : matrix;
    }

    private static SafetensorsEntry Entry(string name, OnnxMatrix matrix) => matrix.Tensor.Entry with
    {
        Name = name,
        Lengths = matrix.IsTransposed ? [.. matrix.Tensor.Entry.Lengths.Reverse()] : matrix.Tensor.Entry.Lengths,
    };

    private static InvalidDataException Error(string path, string what, Exception? inner) =>
        new($"The ONNX model '{path}' cannot be read: {what}.", inner);
}
