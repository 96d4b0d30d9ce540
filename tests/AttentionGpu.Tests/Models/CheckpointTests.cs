using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Models;

/// <summary>Checkpoints of several files, whole and faulty.</summary>
public sealed class CheckpointTests : IDisposable
{
    private const string First = "model-00001-of-00002.safetensors";
    private const string Second = "model-00002-of-00002.safetensors";
    private const string Index = "model.safetensors.index.json";

    private static readonly PublishedModel _model = PublishedModels.All["Llama 2"];

    private readonly string _folder = Directory.CreateTempSubdirectory().FullName;
    private readonly LayerCall _call = _model.Call(5, length: 4);
    private readonly Dictionary<string, Tensor<float>> _tensors;

    // The layer's tensors lie in both files.
    public CheckpointTests()
    {
        _model.Write(_folder, "llama", _call.Weights);
        File.Delete(At("model.safetensors"));
        _tensors = _model.Tensors(_call.Weights);
        ShardedFolder.Write(_folder, [(First, _tensors.Take(2).ToDictionary()), (Second, _tensors.Skip(2).ToDictionary())]);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("")]
    [InlineData(Index)]
    public void A_layer_is_read_from_all_files_of_an_index(string path)
    {
        using var model = AttentionModel.Open(At(path));
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = model.ReadLayer(model.FindLayer(3));
        Assert.Equal(4, config.Heads);
        Assert.Equal(Data.Flat(_call.Weights.Query), Data.Flat(weights.Query));
        Assert.Equal(Data.Flat(_call.Weights.Output), Data.Flat(weights.Output));
    }

    [Fact]
    public void Files_may_be_links_as_in_the_cache_of_the_Hub()
    {
        string blobs = At("blobs");
        Directory.CreateDirectory(blobs);
        File.Move(At(Second), Path.Combine(blobs, "a"));
        File.CreateSymbolicLink(At(Second), Path.Combine("blobs", "a"));
        using var model = AttentionModel.Open(_folder);
        Assert.Single(model.Layers);
    }

    [Fact]
    public void Opening_reads_headers_alone()
    {
        // 2 GB of a tensor that no layer has; the file has holes.
        byte[] header = System.Text.Encoding.UTF8.GetBytes("{\"lm_head.weight\":{\"dtype\":\"U8\",\"shape\":[2147483648],\"data_offsets\":[0,2147483648]}}");
        using (FileStream stream = File.Create(At("big.safetensors")))
        {
            stream.Write(BitConverter.GetBytes((ulong)header.Length));
            stream.Write(header);
            stream.SetLength(stream.Length + (1L << 31));
        }

        ShardedFolder.WriteIndex(_folder, [.. Map(), ("lm_head.weight", "big.safetensors")]);
        long before = GC.GetAllocatedBytesForCurrentThread();
        using var model = AttentionModel.Open(_folder);
        model.ReadLayer(model.FindLayer(3));
        const long most = 4L << 20;
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, most);
    }

    [Fact]
    public void One_file_is_preferred_to_an_index()
    {
        SafetensorsFile.Write(At("model.safetensors"), _tensors);
        File.Delete(At(First));
        using var model = AttentionModel.Open(_folder);
        Assert.Equal(At("model.safetensors"), model.Path);
    }

    [Fact]
    public void A_missing_file_is_named()
    {
        File.Delete(At(Second));
        AssertError($"names the file '{Second}', which cannot be read");
    }

    [Fact]
    public void A_link_in_a_circle_is_named()
    {
        File.Delete(At(Second));
        File.CreateSymbolicLink(At(Second), Second);
        AssertError($"names the file '{Second}', which cannot be read");
    }

    [Theory]
    [InlineData("../secret.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub/a.safetensors")]
    [InlineData("..\\a.safetensors")]
    [InlineData("C:a.safetensors")]
    [InlineData("..")]
    [InlineData("")]
    public void A_file_outside_the_folder_is_refused(string file)
    {
        ShardedFolder.WriteIndex(_folder, [.. Map(), ("other", file)]);
        AssertError($"names the file '{file}'; it must be a name in the folder of the index");
    }

    [Fact]
    public void A_tensor_in_two_files_is_refused()
    {
        (string name, Tensor<float> tensor) = _tensors.First();
        SafetensorsFile.Write(At(Second), _tensors.Skip(2).Append(new(name, tensor)).ToDictionary());
        AssertError($"has the tensor '{name}' in two files");
    }

    [Fact]
    public void A_tensor_that_is_not_in_its_file_is_refused()
    {
        ShardedFolder.WriteIndex(_folder, [.. Map(), ("ghost", First)]);
        AssertError($"says that the tensor 'ghost' is in '{First}', which does not have it");
    }

    [Theory]
    [InlineData("{", "is no valid JSON")]
    [InlineData("{\"weight_map\":{\"\\ud800\":\"a\"}}", "is no valid JSON")]
    [InlineData("{\"weight_map\":{\"a\":\"\\udc00\"}}", "is no valid JSON")]
    [InlineData("[]", "has no object 'weight_map'")]
    [InlineData("{\"weight_map\":[]}", "has no object 'weight_map'")]
    [InlineData("{\"weight_map\":{}}", "has an empty 'weight_map'")]
    [InlineData("{\"weight_map\":{\"a\":7}}", "has 'a' = 7; it must be the name of a file")]
    [InlineData("{\"weight_map\":{\"a\":\"" + First + "\",\"a\":\"" + Second + "\"}}", "has the tensor 'a' twice")]
    public void A_malformed_index_is_named(string json, string message)
    {
        File.WriteAllText(At(Index), json);
        AssertError(message);
    }

    [Fact]
    public void A_file_with_sizes_that_lie_is_named()
    {
        byte[] bytes = File.ReadAllBytes(At(Second));
        File.WriteAllBytes(At(Second), bytes[..^4]);
        AssertError($"The safetensors file '{At(Second)}' is malformed");
    }

    [Fact]
    public void A_layer_twice_is_refused()
    {
        string key = _tensors.Keys.First(name => name.EndsWith("q_proj.weight", StringComparison.Ordinal));
        foreach (string other in new[] { "other." + key, key.Replace(".3.", ".03.", StringComparison.Ordinal) })
        {
            Dictionary<string, Tensor<float>> tensors = _tensors.ToDictionary();
            tensors.Add(other, _tensors[key]);
            SafetensorsFile.Write(At("model.safetensors"), tensors);
            AssertError("has layer 3 of 'layers.N.self_attn' twice: ");
        }
    }

    [Fact]
    public void A_number_of_a_layer_that_is_too_large_is_refused()
    {
        string key = _tensors.Keys.First(name => name.EndsWith("q_proj.weight", StringComparison.Ordinal));
        SafetensorsFile.Write(
            At("model.safetensors"),
            new Dictionary<string, Tensor<float>> { [key.Replace(".3.", ".99999999999.", StringComparison.Ordinal)] = _tensors[key] });
        AssertError("whose layer's number is too large");
    }

    [Fact]
    public void A_folder_without_a_checkpoint_lists_its_files()
    {
        File.Delete(At(Index));
        AssertError($"has none of 'model.safetensors', 'model.safetensors.index.json', 'model.onnx', 'onnx/model.onnx'. It has: config.json, {First}, {Second}.");
    }

    [Fact]
    public void A_checkpoint_without_a_configuration_is_refused()
    {
        File.Delete(At("config.json"));
        AssertError($"There is no '{At("config.json")}', which says what the layers");
    }

    [Fact]
    public void A_path_that_is_not_there_is_named()
    {
        FileNotFoundException exception = Assert.Throws<FileNotFoundException>(() => AttentionModel.Open(At("nowhere")));
        Assert.Contains("nowhere", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_GGUF_file_is_recognised()
    {
        File.WriteAllBytes(At("model.gguf"), [.. "GGUF"u8, 3, 0, 0, 0, .. new byte[64]]);
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => AttentionModel.Open(At("model.gguf")));
        Assert.Contains("it is a GGUF model", exception.Message, StringComparison.Ordinal);
    }

    private string At(string file) => file.Length == 0 ? _folder : Path.Combine(_folder, file);

    private IEnumerable<(string Tensor, string File)> Map() =>
        _tensors.Keys.Select((name, position) => (name, position < 2 ? First : Second));

    private void AssertError(string message)
    {
        InvalidDataException exception = Assert.Throws<InvalidDataException>(() => AttentionModel.Open(_folder));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }
}
