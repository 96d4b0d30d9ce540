using System.Numerics.Tensors;
using System.Text.Json;
using AttentionGpu.Cli.Commands;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>Every command ends with 0 for success, 1 where the work failed, and 2 for bad arguments or input.</summary>
public sealed class ExitCodeTests : IDisposable
{
    private const int Embedding = 8;

    private readonly TemporaryFolder _folder = new();

    public ExitCodeTests()
    {
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(new() { EmbeddingSize = Embedding, Heads = 2 }, seed: 3);
        SafetensorsFile.Write(_folder["w.safetensors"], new Dictionary<string, Tensor<float>>
        {
            ["in_proj_weight"] = Tensor.Concatenate<float>([weights.Query, weights.Key, weights.Value]),
            ["out_proj.weight"] = weights.Output,
        });
        SafetensorsFile.Write(_folder["unstated.safetensors"], new Dictionary<string, Tensor<float>>
        {
            ["q_proj.weight"] = weights.Query,
            ["k_proj.weight"] = weights.Key,
            ["v_proj.weight"] = weights.Value,
            ["out_proj.weight"] = weights.Output,
        });
        SafetensorsFile.Write(
            _folder["x.safetensors"], new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(4), 1, 3, Embedding) });
        File.WriteAllText(_folder["text.txt"], "One two.\n");
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("devices")]
    [InlineData("devices", "--json")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.safetensors")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.npy", "--json")]
    [InlineData("demo", "--text", "text.txt")]
    [InlineData("demo", "--text", "text.txt", "--weights", "w.safetensors", "--heads", "2", "--json")]
    [InlineData("--help")]
    [InlineData("bench", "--help")]
    public void Work_that_is_done_is_exit_code_0(params string[] arguments)
    {
        CliResult result = Run(() => WrongDevice.Open(Wrong.Nothing), arguments);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.NotEmpty(result.Output);
    }

    [Theory]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.safetensors")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.npy", "--json")]
    [InlineData("demo", "--text", "text.txt")]
    [InlineData("demo", "--text", "text.txt", "--json", "--out", "maps")]
    [InlineData("bench", "--shape", "1,1,1,1")]
    [InlineData("bench", "--op", "mha", "--shape", "1,1,1,1", "--json")]
    [InlineData("bench", "--op", "linear", "--shape", "1,1,1")]
    public void A_device_that_breaks_down_is_one_line_and_exit_code_1(params string[] arguments)
    {
        string error = InProcess.RequireError(1, Run(() => WrongDevice.Open(Wrong.Everything, Fault.Throws), arguments));
        Assert.Contains(WrongDevice.Message, error, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFileSystemEntries(_folder[""], "y.*"));
        Assert.False(Directory.Exists(_folder["maps"]));
    }

    [Theory]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.safetensors")]
    [InlineData("demo")]
    [InlineData("verify")]
    [InlineData("bench", "--shape", "1,1,1,1")]
    public void A_device_whose_driver_refuses_is_one_line_and_exit_code_1(params string[] arguments)
    {
        string error = InProcess.RequireError(1, Run(() => throw new InvalidOperationException("no driver"), arguments));
        Assert.Equal("attention: no driver\n", error);
    }

    [Theory]
    [InlineData]
    [InlineData("bogus")]
    [InlineData("devices", "--bogus")]
    [InlineData("devices", "more")]
    [InlineData("run")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.npy", "--device", "nope")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.npy", "--need-weights")]
    [InlineData("run", "--weights", "w.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "no/y.npy")]
    [InlineData("run", "--weights", "unstated.safetensors", "--heads", "2", "--input", "x.safetensors", "--output", "y.npy")]
    [InlineData("demo", "--text", "text.txt", "--weights", "unstated.safetensors", "--heads", "2")]
    [InlineData("demo", "--text", "text.txt", "--rotary", "none")]
    [InlineData("demo", "--text", "text.txt", "--window", "3")]
    [InlineData("demo", "--text", "text.txt", "--prefix", "p")]
    [InlineData("demo", "--heads", "1000000")]
    [InlineData("verify", "--device", "nope")]
    [InlineData("verify", "--device", "")]
    [InlineData("verify", "--onnx", "no-folder")]
    [InlineData("demo", "--device", "nope")]
    [InlineData("demo", "--text", "no-file")]
    [InlineData("demo", "--heads", "0")]
    [InlineData("demo", "--heads", "5")]
    [InlineData("demo", "--heads", "two")]
    [InlineData("demo", "--weights", "no-file")]
    [InlineData("demo", "--text", "text.txt", "--weights", "w.safetensors", "--heads", "3")]
    [InlineData("demo", "--text", "text.txt", "--weights", "text.txt")]
    public void Bad_arguments_are_one_line_and_exit_code_2(params string[] arguments)
    {
        InProcess.RequireError(2, InProcess.Run(InFolder(arguments)));
        Assert.Empty(Directory.GetFileSystemEntries(_folder[""], "y.*"));
    }

    [Fact]
    public void A_text_of_more_tokens_than_can_be_shown_is_bad_input()
    {
        string Words(int count) => string.Concat(Enumerable.Repeat(" one", count));
        File.WriteAllText(_folder["text.txt"], "two\n" + Words(129));
        Assert.Contains("129 tokens", InProcess.Fail(2, InFolder("demo", "--text", "text.txt")), StringComparison.Ordinal);
        File.WriteAllText(_folder["text.txt"], "two\n" + Words(128));
        Assert.Equal(0, InProcess.Run(InFolder("demo", "--text", "text.txt", "--json", "--heads", "1")).ExitCode);
        File.WriteAllText(_folder["text.txt"], "\n \n");
        Assert.Contains("no text", InProcess.Fail(2, InFolder("demo", "--text", "text.txt")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 4000, true)]
    [InlineData(1, 4001, false)]
    [InlineData(1, 1 << 20, false)]
    [InlineData(3, 1 << 23, false)]
    public void A_word_of_more_characters_than_a_sentence_can_have_is_refused_before_it_is_cut(int line, int letters, bool isCut)
    {
        File.WriteAllText(_folder["text.txt"], new string('\n', line - 1) + new string('a', letters));
        string error = InProcess.Fail(2, InFolder("demo", "--text", "text.txt"));
        if (isCut)
            Assert.Contains(" tokens; at most 128", error, StringComparison.Ordinal);
        else
            Assert.Contains($"Line {line} of '{_folder["text.txt"]}' has more than 4000 characters", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_of_more_sentences_than_can_be_shown_is_refused()
    {
        void Write(int sentences) => File.WriteAllText(_folder["text.txt"], string.Concat(Enumerable.Repeat("a\n\n", sentences)));
        string[] arguments = InFolder("demo", "--text", "text.txt", "--heads", "1", "--json");
        Write(100);
        Assert.Equal(0, InProcess.Run(arguments).ExitCode);
        Write(101);
        Assert.Contains("101 sentences, one a line; at most 100", InProcess.Fail(2, arguments), StringComparison.Ordinal);
        File.WriteAllText(_folder["text.txt"], new string('\n', (1 << 22) + 1));
        Assert.Contains("more than 4194304 characters", InProcess.Fail(2, arguments), StringComparison.Ordinal);
    }

    [Fact]
    public void The_table_of_the_demo_has_the_two_largest_weights_of_its_JSON()
    {
        string[] arguments = InFolder("demo", "--text", "text.txt", "--seed", "7", "--heads", "1", "--device", "reference");
        JsonElement root = JsonElement.Parse(InProcess.Run([.. arguments, "--json"]).Output);
        Assert.Equal(["device", "reason", "source", "sentences", "files"], root.EnumerateObject().Select(property => property.Name));
        Assert.Equal("reference", root.GetProperty("device").GetString());
        Assert.Contains("seed 7", root.GetProperty("source").GetString(), StringComparison.Ordinal);
        JsonElement sentence = root.GetProperty("sentences")[0];
        Assert.Equal(["text", "words", "heads"], sentence.EnumerateObject().Select(property => property.Name));
        string[] words = [.. sentence.GetProperty("words").EnumerateArray().Select(word => word.GetString()!)];
        Assert.Equal(["One", "two", "."], words);

        string table = InProcess.Run(arguments).Output;
        for (int query = 0; query < words.Length; query++)
        {
            IEnumerable<string> largest = sentence.GetProperty("heads")[0][query].EnumerateArray()
                .Select((weight, key) => (Weight: weight.GetSingle(), Word: words[key]))
                .OrderByDescending(pair => pair.Weight)
                .Take(2)
                .Select(pair => FormattableString.Invariant($"{pair.Word} {pair.Weight:F2}"));
            Assert.Contains($"│ {words[query],-4} │ {string.Join(", ", largest)} ", table, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_seed_changes_the_parameters_and_the_embeddings_of_the_demo(bool checkpoint)
    {
        string[] weights = checkpoint ? ["--weights", "w.safetensors"] : [];
        string[] arguments = InFolder(["demo", "--text", "text.txt", "--heads", "2", .. weights, "--json"]);
        string Sentences(string seed) =>
            JsonElement.Parse(InProcess.Run([.. arguments, "--seed", seed]).Output).GetProperty("sentences").GetRawText();
        Assert.Equal(Sentences("7"), Sentences("7"));
        Assert.NotEqual(Sentences("7"), Sentences("8"));
    }

    [Theory]
    [InlineData(0, "0 KiB")]
    [InlineData(48 << 10, "48 KiB")]
    [InlineData((1 << 30) - 1, "1048576 KiB")]
    [InlineData(1 << 30, "1.0 GiB")]
    [InlineData(3L << 29, "1.5 GiB")]
    public void Sizes_are_in_GiB_from_one_on_and_in_KiB_below(long bytes, string text) => Assert.Equal(text, DevicesCommand.Size(bytes));

    private CliResult Run(Func<AttentionEngine> open, string[] arguments) => InProcess.Run(open, InFolder(arguments));

    /// <summary>The arguments with the names of files and folders inside the test's folder.</summary>
    private string[] InFolder(params string[] arguments) =>
        [.. arguments.Select(one => one is "maps" or "no-folder" or "no-file" || Path.HasExtension(one) ? _folder[one] : one)];
}
