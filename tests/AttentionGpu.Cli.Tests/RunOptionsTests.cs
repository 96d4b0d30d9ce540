using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Cli.Files;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>
/// The options of <c>attention run</c>, on a checkpoint of two layers: 4 heads of 3, 2 key/value heads, 12 embedding axes.
/// </summary>
public sealed class RunOptionsTests : IDisposable
{
    private const int Batch = 2;
    private const int Queries = 5;
    private const int Keys = 7;
    private const int Embedding = 12;
    private const int Heads = 4;
    private const int KeyValueHeads = 2;

    private static readonly MultiHeadAttentionConfig _config =
        new() { EmbeddingSize = Embedding, Heads = Heads, KeyValueHeads = KeyValueHeads };
    private static readonly MultiHeadAttentionWeights _first = MultiHeadAttentionWeights.Random(_config, seed: 1);
    private static readonly MultiHeadAttentionWeights _second = MultiHeadAttentionWeights.Random(_config, seed: 2);
    private static readonly Tensor<float> _input = Data.Random(new Random(3), Batch, Queries, Embedding);
    private static readonly Tensor<float> _context = Data.Random(new Random(4), Batch, Keys, Embedding);

    private readonly TemporaryFolder _folder = new();

    public RunOptionsTests()
    {
        var tensors = new Dictionary<string, Tensor<float>>();
        foreach ((string prefix, MultiHeadAttentionWeights weights) in new[] { ("first.", _first), ("second.", _second) })
        {
            tensors[prefix + "q_proj.weight"] = weights.Query;
            tensors[prefix + "k_proj.weight"] = weights.Key;
            tensors[prefix + "v_proj.weight"] = weights.Value;
            tensors[prefix + "out_proj.weight"] = weights.Output;
        }

        SafetensorsFile.Write(_folder["w.safetensors"], tensors);
        SafetensorsFile.Write(_folder["x.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = _input });
        TensorFile.Write(_folder["c.npy"], new Dictionary<string, Tensor<float>> { ["x"] = _context });
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    [InlineData(false, false, true)]
    [InlineData(true, true, true)]
    public void Prefix_context_and_causal_each_change_what_is_computed(bool second, bool cross, bool causal)
    {
        string[] options =
        [
            .. second ? new[] { "--prefix", "second" } : ["--prefix", "first"],
            .. cross ? new[] { "--context", _folder["c.npy"] } : [],
            .. causal ? new[] { "--causal" } : [],
        ];
        Run([.. options, "--need-weights", "--output", _folder["y.safetensors"]]);
        Tensor<float> keys = cross ? _context : _input;
        (Tensor<float> output, Tensor<float> weights) =
            NaiveLayer.Run(_config, second ? _second : _first, _input, keys, keys, causal ? Causal.TopLeft : Causal.None);
        using (var file = SafetensorsFile.Open(_folder["y.safetensors"]))
        {
            Assert.Equal(["weights", "y"], file.Entries.Keys.Order());
            Close.Assert(output, file.Read("y"), "the output");
            Close.Assert(weights, file.Read("weights"), "the weights");
        }

        Run([.. options, "--output", _folder["plain.safetensors"]]);
        using var plain = SafetensorsFile.Open(_folder["plain.safetensors"]);
        Assert.Equal(["y"], plain.Entries.Keys);
        Close.Assert(output, plain.Read("y"), "the output alone");
    }

    [Fact]
    public void The_key_value_heads_are_checked_against_the_checkpoint()
    {
        Run("--kv-heads", "2", "--output", _folder["y.safetensors"]);
        foreach (string heads in new[] { "1", "3", "4" })
            Fail("does not fit a layer with 4 heads", "--kv-heads", heads, "--output", _folder["bad.safetensors"]);
        foreach (string heads in new[] { "0", "-2" })
            Fail("keyValueHeads", "--kv-heads", heads, "--output", _folder["bad.safetensors"]);
    }

    public static TheoryData<string[], MultiHeadAttentionLoadOptions> Positions => new()
    {
        { ["--rotary", "500"], new() { Rotary = new() { Base = 500.0 } } },
        {
            ["--rotary", "1e4", "--rotary-size", "2", "--rotary-interleaved", "--rotary-scaling", "linear,2.5", "--window", "1"],
            new()
            {
                Rotary = new() { Size = 2, Interleaved = true, Scaling = RotaryScaling.Linear(2.5) },
                Window = new AttentionWindow { Left = 1 },
            }
        },
        {
            ["--rotary", "50", "--rotary-scaling", "llama3,8,1,4,8192"],
            new() { Rotary = new() { Base = 50.0, Scaling = RotaryScaling.Llama3(8.0, 1.0, 4.0, 8192) } }
        },
        {
            ["--rotary", "50", "--rotary-scaling", "yarn,32,4096"],
            new() { Rotary = new() { Base = 50.0, Scaling = RotaryScaling.Yarn(32.0, 4096) } }
        },
        { ["--rotary", "none", "--softcap", "2", "--scale", "0.7"], new() { Positions = LayerPositions.None, Softcap = 2f, Scale = 0.7f } },
    };

    [Theory]
    [MemberData(nameof(Positions))]
    public void Positions_and_variants_are_those_of_the_library(string[] options, MultiHeadAttentionLoadOptions layer)
    {
        // Head size 4 of 3 heads, as rotary embedding needs an even one.
        var config = new MultiHeadAttentionConfig { EmbeddingSize = Embedding, Heads = 3 };
        var weights = MultiHeadAttentionWeights.Random(config, seed: 5);
        SafetensorsFile.Write(_folder["even.safetensors"], new Dictionary<string, Tensor<float>>
        {
            ["q_proj.weight"] = weights.Query,
            ["k_proj.weight"] = weights.Key,
            ["v_proj.weight"] = weights.Value,
            ["o_proj.weight"] = weights.Output,
        });
        string[] arguments =
        [
            "run", "--weights", _folder["even.safetensors"], "--heads", "3", "--input", _folder["x.safetensors"], "--device", "reference",
            "--output", _folder["y.npy"], .. options,
        ];
        Assert.Equal((0, ""), (InProcess.Run(arguments).ExitCode, ""));
        using MultiHeadAttention<float> expected =
            MultiHeadAttention.Load<float>(Engines.Reference, _folder["even.safetensors"], heads: 3, options: layer);
        Close.Assert(expected.Forward(_input), TensorFile.Read(_folder["y.npy"], "y"), string.Join(' ', options));
    }

    [Fact]
    public void A_configuration_beside_the_checkpoint_states_the_positions()
    {
        Fail("state the positions, by the option 'Rotary'", "--config", "--output", _folder["bad.npy"]);
        File.WriteAllText(_folder["config.json"], """{"model_type":"opt"}""");
        Run("--config", "--output", _folder["y.npy"]);
        Close.Assert(
            NaiveLayer.Run(_config, _first, _input, _input, _input).Output, TensorFile.Read(_folder["y.npy"], "y"), "OPT");
        File.WriteAllText(_folder["config.json"], """{"model_type":"llama","sliding_window":7}""");
        Fail("'sliding_window' = 7", "--config", "--output", _folder["bad.npy"]);
    }

    [Theory]
    [InlineData("--rotary is '0'", "--rotary", "0")]
    [InlineData("--rotary is 'nan'", "--rotary", "nan")]
    [InlineData("--rotary is 'None'", "--rotary", "None")]
    [InlineData("--rotary-size needs --rotary with a base; it is none", "--rotary", "none", "--rotary-size", "2")]
    [InlineData("--rotary-interleaved needs --rotary with a base; it is left out", "--config", "--rotary-interleaved")]
    [InlineData("--rotary-scaling needs --rotary with a base", "--rotary", "none", "--rotary-scaling", "linear,2")]
    [InlineData("--rotary-scaling is 'linear'", "--rotary", "10", "--rotary-scaling", "linear")]
    [InlineData("--rotary-scaling is 'ntk,2'", "--rotary", "10", "--rotary-scaling", "ntk,2")]
    [InlineData("--rotary-scaling is 'yarn,2,x'", "--rotary", "10", "--rotary-scaling", "yarn,2,x")]
    [InlineData("--rotary-scaling is 'yarn,2,1.5'", "--rotary", "10", "--rotary-scaling", "yarn,2,1.5")]
    [InlineData("--window is -1", "--window", "-1")]
    [InlineData("'Softcap'", "--softcap", "0")]
    [InlineData("'NormEpsilon' is 1", "--norm-epsilon", "1")]
    public void Positions_that_are_none_are_refused(string message, params string[] options) =>
        Fail(message, [.. options, "--output", _folder["bad.safetensors"]]);

    [Fact]
    public void Weights_do_not_go_into_a_NumPy_file() =>
        Fail("--need-weights", "--need-weights", "--output", _folder["bad.npy"]);

    [Theory]

    // Projections: 2 x (5 x 12 x 12 x 2 + 5 x 6 x 24) multiply-adds; attention: 2 x 4 x 5 x 5 pairs of 3 x 2. Parameters: 2 x 144 + 6 x 24
    // = 432. Tensors: 3 of 2 x 5 x 12. Of 5 x 5 pairs a causal mask leaves 1 + 2 + 3 + 4 + 5 = 15: 2 x 4 x 15 x 3 x 2 = 720.
    [InlineData(2.0 * (4320 + 1200), 4 * (432 + 360))]
    [InlineData(2.0 * (4320 + 720), 4 * (432 + 360), "--causal")]
    [InlineData(2.0 * (4320 + 1200), 4 * (432 + 360 + 200), "--need-weights")]

    // Keys and values of 7: 2 x 7 x 6 x 24 = 2016; attention 2 x 4 x 5 x 7 x 6 = 1680; tensors 2 x 120 + 2 x 7 x 12.
    [InlineData(2.0 * (2880 + 2016 + 1680), 4 * (432 + 240 + 168), "--context", "c.npy")]

    // Of 5 x 7 pairs the mask leaves the same 15.
    [InlineData(2.0 * (2880 + 2016 + 720), 4 * (432 + 240 + 168), "--context", "c.npy", "--causal")]
    public void The_JSON_has_the_cost_of_the_call_and_its_speed(double operations, long bytes, params string[] options)
    {
        string output = _folder["y.safetensors"];
        IEnumerable<string> paths = options.Select(one => one == "c.npy" ? _folder[one] : one);
        JsonElement root = JsonElement.Parse(Run([.. paths, "--output", output, "--json"]));
        Assert.Equal(
            ["device", "type", "firstMilliseconds", "milliseconds", "operations", "gflops", "bytes", "output"],
            root.EnumerateObject().Select(property => property.Name));
        Assert.Equal(
            ("reference", "float32", output),
            (root.GetProperty("device").GetString(), root.GetProperty("type").GetString(), root.GetProperty("output").GetString()));
        Assert.Equal((operations, bytes), (root.GetProperty("operations").GetDouble(), root.GetProperty("bytes").GetInt64()));
        double milliseconds = root.GetProperty("milliseconds").GetDouble();
        Assert.True(milliseconds > 0.0 && root.GetProperty("firstMilliseconds").GetDouble() > 0.0);
        Assert.Equal(operations / 1e6, root.GetProperty("gflops").GetDouble() * milliseconds, operations / 1e12);
    }

    [Fact]
    public void The_table_has_the_bytes_and_the_file()
    {
        string table = Run("--output", _folder["y.npy"]);
        Assert.Matches(@"│ device +│ reference \(", table);
        Assert.Matches(@"│ first call +│ [0-9.]+ ms, with compilation ", table);
        Assert.Matches(@"│ time +│ [0-9.]+ ms ", table);
        Assert.Matches(@"│ speed +│ [0-9.]+ GFLOP/s ", table);
        Assert.Matches(@"│ bytes moved +│ 3,168 ", table);
        Assert.Contains(_folder["y.npy"], table, StringComparison.Ordinal);
    }

    private string[] Arguments(string[] options) =>
    [
        "run", "--weights", _folder["w.safetensors"], "--heads", "4", "--input", _folder["x.safetensors"],
        "--device", "reference",
        .. options.Contains("--prefix") ? Array.Empty<string>() : ["--prefix", "first"],
        .. options.Contains("--rotary") || options.Contains("--config") ? Array.Empty<string>() : ["--rotary", "none"],
        .. options.Where(option => option != "--config"),
    ];

    private string Run(params string[] options)
    {
        CliResult result = InProcess.Run(Arguments(options));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        return result.Output;
    }

    private void Fail(string part, params string[] options)
    {
        Assert.Contains(part, InProcess.Fail(2, Arguments(options)), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder[""], "bad.*"));
    }
}
