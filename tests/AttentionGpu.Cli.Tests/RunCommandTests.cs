using System.Numerics.Tensors;
using System.Text;
using System.Text.Json;
using AttentionGpu.Cli.Files;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

public sealed class RunCommandTests : IDisposable
{
    private const int ContextLength = 53;

    private readonly TemporaryFolder _folder = new();
    private readonly LayerCase _self = LayerCase.Create(new LayerSizes(2, 2, 3, 16, 37, 37, false, false, true, false, Environment.TickCount));
    private readonly Tensor<float> _context;

    public RunCommandTests()
    {
        _context = Data.Random(new Random(), 2, ContextLength, 96);
        MultiHeadAttentionWeights weights = _self.Weights;
        var tensors = new Dictionary<string, Tensor<float>>
        {
            ["layer.q_proj.weight"] = weights.Query,
            ["layer.k_proj.weight"] = weights.Key,
            ["layer.v_proj.weight"] = weights.Value,
            ["layer.out_proj.weight"] = weights.Output,
            ["layer.q_proj.bias"] = weights.QueryBias!,
            ["layer.v_proj.bias"] = weights.ValueBias!,
            ["layer.out_proj.bias"] = weights.OutputBias!,
        };
        if (weights.KeyBias is not null)
            tensors["layer.k_proj.bias"] = weights.KeyBias;
        SafetensorsFile.Write(_folder["w.safetensors"], tensors);
        SafetensorsFile.Write(_folder["x.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = _self.Query });
        SafetensorsFile.Write(_folder["c.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = _context });
    }

    public static TheoryData<string, bool, bool> Calls
    {
        get
        {
            var calls = new TheoryData<string, bool, bool>();
            foreach (string device in Engines.All)
            {
                calls.Add(device, false, false);
                calls.Add(device, false, true);
                calls.Add(device, true, false);
            }

            return calls;
        }
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Calls))]
    public void Run_agrees_with_ONNX_Runtime_and_the_definition(string device, bool cross, bool causal)
    {
        List<string> arguments =
        [
            "run", "--weights", _folder["w.safetensors"], "--prefix", "layer", "--rotary", "none", "--heads", "6", "--kv-heads", "2",
            "--input", _folder["x.safetensors"], "--device", device, "--need-weights", "--output", _folder["y.safetensors"],
        ];
        if (cross)
            arguments.AddRange(["--context", _folder["c.safetensors"]]);
        if (causal)
            arguments.Add("--causal");
        Cli.Succeed([.. arguments]);

        Tensor<float> key = cross ? _context : _self.Query;
        Causal alignment = causal ? Causal.TopLeft : Causal.None;
        using SafetensorsFile file = SafetensorsFile.Open(_folder["y.safetensors"]);
        Tensor<float> output = file.Read("y");
        (Tensor<float> expected, Tensor<float> weights) = NaiveLayer.Run(_self.Config, _self.Weights, _self.Query, key, key, alignment);
        Close.Assert(OnnxRuntimeOracle.Layer(_self.Config, _self.Weights, _self.Query, key, key, alignment), output, "ONNX Runtime");
        Close.Assert(expected, output, "the definition");
        Close.Assert(weights, file.Read("weights"), "the weights");
    }

    [Fact]
    public void NumPy_files_are_read_and_written()
    {
        TensorFile.Write(_folder["x.npy"], new Dictionary<string, Tensor<float>> { ["x"] = _self.Query });
        string json = Cli.Succeed(
            "run", "--weights", _folder["w.safetensors"], "--prefix", "layer.", "--rotary", "none", "--heads", "6", "--input",
            _folder["x.npy"], "--device",
            "reference", "--output", _folder["y.npy"], "--json");
        Close.Assert(_self.Run(Engines.Reference), TensorFile.Read(_folder["y.npy"], "y"), "npy");

        using JsonDocument document = JsonDocument.Parse(json);
        Assert.Equal("reference", document.RootElement.GetProperty("device").GetString());
        Assert.True(document.RootElement.GetProperty("milliseconds").GetDouble() > 0);

        // Projections: 2 (batch) x 37 rows x 96 x (96 + 32 + 32 + 96); attention: 2 x 6 heads x 37 x 37 x 16 x 2; two operations each.
        Assert.Equal(2.0 * ((2 * 37 * 96 * 256) + (2 * 6 * 37 * 37 * 16 * 2)), document.RootElement.GetProperty("operations").GetDouble());
        Assert.Equal(4 * ((96 * 256) + (3 * 2 * 37 * 96)), document.RootElement.GetProperty("bytes").GetInt64());
    }

    [Fact]
    public void Bad_input_is_one_line_and_exit_code_2()
    {
        string Run(params string[] changed)
        {
            var arguments = new Dictionary<string, string>
            {
                ["--weights"] = _folder["w.safetensors"],
                ["--prefix"] = "layer",
                ["--rotary"] = "none",
                ["--heads"] = "6",
                ["--input"] = _folder["x.safetensors"],
                ["--device"] = "reference",
                ["--output"] = _folder["bad.safetensors"],
            };
            for (int i = 0; i < changed.Length; i += 2)
                arguments[changed[i]] = changed[i + 1];
            string error = Cli.Fail(2, ["run", .. arguments.SelectMany(pair => new[] { pair.Key, pair.Value })]);
            Assert.False(File.Exists(_folder["bad.safetensors"]), "Something was written.");
            return error;
        }

        File.WriteAllText(_folder["text.safetensors"], "not a safetensors file at all");
        File.WriteAllText(_folder["text.npy"], "nor a NumPy file");
        SafetensorsFile.Write(_folder["rank2.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(1), 3, 96) });
        SafetensorsFile.Write(_folder["narrow.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(1), 2, 3, 95) });
        SafetensorsFile.Write(_folder["name.safetensors"], new Dictionary<string, Tensor<float>> { ["z"] = _self.Query });
        Assert.Contains("missing.safetensors", Run("--weights", _folder["missing.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("malformed", Run("--weights", _folder["text.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("is a folder", Run("--weights", _folder[""]), StringComparison.Ordinal);
        File.WriteAllText(_folder["pointer.safetensors"], "version https://git-lfs.github.com/spec/v1\n");
        Assert.Contains("a Git LFS pointer", Run("--weights", _folder["pointer.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("a Git LFS pointer", Run("--input", _folder["pointer.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("q_proj.weight", Run("--prefix", "other"), StringComparison.Ordinal);
        Assert.Contains("7 heads", Run("--heads", "7"), StringComparison.Ordinal);
        Assert.Contains("heads", Run("--heads", "0"), StringComparison.Ordinal);
        Assert.Contains("--heads", Run("--heads", "six"), StringComparison.Ordinal);
        Assert.Contains("KeyValueHeads", Run("--kv-heads", "4"), StringComparison.Ordinal);
        Assert.Contains("missing.npy", Run("--input", _folder["missing.npy"]), StringComparison.Ordinal);
        Assert.Contains("NumPy", Run("--input", _folder["text.npy"]), StringComparison.Ordinal);
        byte[] header = Encoding.ASCII.GetBytes("{'descr': '<c8', 'fortran_order': False, 'shape': (1, 1, 1), }\n");
        File.WriteAllBytes(_folder["c.npy"], [0x93, .. "NUMPY"u8, 1, 0, (byte)header.Length, 0, .. header, .. new byte[8]]);
        Assert.Contains("complex numbers ('<c8')", Run("--input", _folder["c.npy"]), StringComparison.Ordinal);
        File.WriteAllBytes(_folder["empty.npy"], []);
        Assert.Contains(
            "empty.npy' cannot be read as a NumPy array: it is empty", Run("--input", _folder["empty.npy"]), StringComparison.Ordinal);
        Assert.Contains("rank 2", Run("--input", _folder["rank2.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("[2, 3, 95]", Run("--input", _folder["narrow.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("'x'", Run("--input", _folder["name.safetensors"]), StringComparison.Ordinal);
        Assert.Contains("[1, 3, 96]", Run("--context", Narrow()), StringComparison.Ordinal);
        Assert.Contains("cuda:7", Run("--device", "cuda:7"), StringComparison.Ordinal);
        Assert.Contains("no-folder", Run("--output", _folder["no-folder/y.safetensors"]), StringComparison.Ordinal);
    }

    private string Narrow()
    {
        SafetensorsFile.Write(_folder["batch1.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(1), 1, 3, 96) });
        return _folder["batch1.safetensors"];
    }
}
