using System.Numerics.Tensors;
using AttentionGpu.Serialization.Onnx;

namespace AttentionGpu.Serialization;

/// <summary>
/// The tensors of a checkpoint: those of one safetensors file, of all files (shards) of an index, or of an ONNX model. The headers of all
/// files, or the model's graph, are read and checked when it is opened; tensors are read when they are asked for. May be used from many
/// threads at once.
/// </summary>
internal sealed class Checkpoint : IDisposable
{
    public const string FileName = "model.safetensors";
    public const string IndexName = FileName + CheckpointIndex.Extension;
    /// <summary>The folder of a model's ONNX files, without a configuration of their own.</summary>
    public const string OnnxFolder = "onnx";

    private const string OnnxName = "model" + OnnxFile.Extension;

    // Where a folder has one, in the order of preference: the Hub's layouts.
    private static readonly string[] _names =
        [FileName, IndexName, OnnxName, System.IO.Path.Combine(OnnxFolder, OnnxName)];

    private readonly IReadOnlyList<ITensorFile> _files;
    private readonly Dictionary<string, ITensorFile> _fileOf = new(StringComparer.Ordinal);
    private readonly Dictionary<string, SafetensorsEntry> _entries = new(StringComparer.Ordinal);

    private Checkpoint(string path, IReadOnlyList<ITensorFile> files)
    {
        (Path, _files) = (path, files);
        foreach (ITensorFile file in files)
        {
            foreach ((string name, SafetensorsEntry entry) in file.Entries)
            {
                if (!_entries.TryAdd(name, entry))
                {
                    throw CheckpointIndex.Error(
                        path, $"has the tensor '{Excerpt.Of(name)}' in two files, '{_fileOf[name].Path}' and '{file.Path}'");
                }

                _fileOf.Add(name, file);
            }
        }
    }

    /// <summary>The path of the file, or of the index.</summary>
    public string Path { get; }

    /// <summary>
    /// Whether matrices are [outputs, inputs] whatever the architecture: the graph of an ONNX model tells how it multiplies with them.
    /// </summary>
    public bool IsOutputsFirst => _files[0] is OnnxFile;

    /// <summary>What all files hold, by name.</summary>
    public IReadOnlyDictionary<string, SafetensorsEntry> Entries => _entries;

    /// <summary>
    /// Opens a folder with <c>model.safetensors</c>, <c>model.safetensors.index.json</c>, <c>model.onnx</c> or <c>onnx/model.onnx</c> (the
    /// first of them that is there), a safetensors file, an index, or an ONNX model.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The folder has none of them; a file is malformed; the index names a file that is not there, is outside its folder, or lacks a
    /// tensor; or a tensor is in two files.
    /// </exception>
    public static Checkpoint Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string file = Directory.Exists(path) ? FileIn(path) : path;
        return file.EndsWith(CheckpointIndex.Extension, StringComparison.OrdinalIgnoreCase)
            ? OpenShards(file)
            : file.EndsWith(OnnxFile.Extension, StringComparison.OrdinalIgnoreCase) ? new Checkpoint(file, [OnnxFile.Open(file)])
            : OpenFile(file);
    }

    /// <summary>Opens one safetensors file.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is malformed, or a file of another kind.</exception>
    public static Checkpoint OpenFile(string path) => new(path, [SafetensorsFile.Open(path)]);

    /// <summary>The files that are read.</summary>
    public IEnumerable<string> Files => _files.Select(file => file.Path).Prepend(Path).Distinct(StringComparer.Ordinal);

    /// <summary>Reads a tensor as float32; see <see cref="ITensorFile.Read"/>.</summary>
    /// <exception cref="InvalidDataException">There is no such tensor, or its elements are of another type.</exception>
    public Tensor<float> Read(string name) => FileOf(name).Read(name);

    /// <summary>Reads a tensor's bytes as they are.</summary>
    public byte[] ReadBytes(string name) => FileOf(name).ReadBytes(name);

    /// <summary>The type of some tensors' elements: float, Half or BFloat16; float where they differ or are doubles.</summary>
    /// <exception cref="InvalidDataException">Elements are no floating-point numbers that can be read.</exception>
    public Type CommonElement(IEnumerable<string> names)
    {
        SafetensorsEntry[] entries = [.. names.Select(name => Entries[name])];
        if (Array.Find(entries, entry => !SafetensorsElements.IsFloat(entry.Type)) is SafetensorsEntry wrong)
        {
            throw new InvalidDataException(
                $"'{Path}' has '{Excerpt.Of(wrong.Name)}' with elements of type {Excerpt.Of(wrong.TypeName)}; "
                + $"{SafetensorsElements.Readable<float>(round: true)} can be read.");
        }

        return entries.Select(entry => entry.Type).Distinct().ToArray() switch
        {
            [SafetensorsType.F16] => typeof(Half),
            [SafetensorsType.BF16] => typeof(BFloat16),
            _ => typeof(float),
        };
    }

    /// <summary>The first names, for messages.</summary>
    public string Summary() => SafetensorsFile.Summary(Entries);

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (ITensorFile file in _files)
            file.Dispose();
    }

    private ITensorFile FileOf(string name) =>
        _fileOf.TryGetValue(name, out ITensorFile? file)
            ? file
            : throw new InvalidDataException($"'{Path}' has no tensor '{Excerpt.Of(name)}'. It has: {Summary()}.");

    private static string FileIn(string folder)
    {
        foreach (string name in _names)
        {
            string file = System.IO.Path.Combine(folder, name);
            if (File.Exists(file))
                return file;
        }

        const int shown = 10;
        string[] files = [.. Directory.EnumerateFiles(folder).Select(file => System.IO.Path.GetFileName(file)).Order(StringComparer.Ordinal)];
        string names = files.Length == 0 ? "no files" : string.Join(", ", files.Take(shown));
        string more = files.Length > shown ? $" and {files.Length - shown} more" : "";
        string? other = files.Any(file => file.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase)) ? " GGUF models are not read."
            : files.Any(file => file.EndsWith(".bin", StringComparison.OrdinalIgnoreCase)) ? " PyTorch's .bin files are not read."
            : null;
        throw new InvalidDataException(
            $"The folder '{folder}' has none of '{string.Join("', '", _names)}'. It has: {names}{more}.{other}");
    }

    private static Checkpoint OpenShards(string index)
    {
        IReadOnlyDictionary<string, string> fileOf = CheckpointIndex.Read(index);
        string folder = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(index))!;
        var files = new Dictionary<string, SafetensorsFile>(StringComparer.Ordinal);
        try
        {
            foreach (string name in fileOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
                files.Add(name, OpenShard(index, System.IO.Path.Combine(folder, name)));
            foreach ((string tensor, string name) in fileOf)
            {
                if (!files[name].Entries.ContainsKey(tensor))
                    throw CheckpointIndex.Error(index, $"says that the tensor '{Excerpt.Of(tensor)}' is in '{name}', which does not have it");
            }

            return new Checkpoint(index, [.. files.Values]);
        }
        catch
        {
            foreach (SafetensorsFile file in files.Values)
                file.Dispose();
            throw;
        }
    }

    private static SafetensorsFile OpenShard(string index, string path)
    {
        try
        {
            return SafetensorsFile.Open(path);
        }
        catch (IOException exception)
        {
            // Not there, or a link that leads in a circle.
            throw new InvalidDataException(
                $"The index '{index}' names the file '{System.IO.Path.GetFileName(path)}', which cannot be read: {exception.Message}", exception);
        }
    }
}
