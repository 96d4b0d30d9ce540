using System.Diagnostics;
using System.Numerics.Tensors;
using AttentionGpu.Serialization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>Outputs never take the place of an input, and one that cannot be written leaves the file that was there.</summary>
public sealed class OutputFileTests : IDisposable
{
    private const int Embedding = 8;

    private readonly TemporaryFolder _folder = new();

    public OutputFileTests()
    {
        MultiHeadAttentionWeights weights = MultiHeadAttentionWeights.Random(new() { EmbeddingSize = Embedding, Heads = 2 }, seed: 3);
        SafetensorsFile.Write(_folder["w.safetensors"], new Dictionary<string, Tensor<float>>
        {
            ["in_proj_weight"] = Tensor.Concatenate<float>([weights.Query, weights.Key, weights.Value]),
            ["out_proj.weight"] = weights.Output,
        });
        foreach (string input in new[] { "x.safetensors", "c.safetensors" })
        {
            SafetensorsFile.Write(
                _folder[input], new Dictionary<string, Tensor<float>> { ["x"] = Data.Random(new Random(4), 1, 3, Embedding) });
        }

        File.WriteAllText(_folder["config.json"], "{}");
        Directory.CreateDirectory(_folder["maps"]);
        File.WriteAllText(_folder[Path.Combine("maps", "sentence0-head1.png")], "One two.\n");
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("w.safetensors", "--weights")]
    [InlineData("x.safetensors", "--input")]
    [InlineData("c.safetensors", "--context")]
    [InlineData("config.json", "--weights, its config.json")]
    [InlineData("maps/../w.safetensors", "--weights")]
    public void An_input_is_not_overwritten(string output, string option) => RequireRefused(_folder[output], option);

    [Theory]
    [InlineData("w.safetensors", "--weights")]
    [InlineData("config.json", "--weights, its config.json")]
    public void An_input_is_not_overwritten_through_a_link(string input, string option)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Links need a privilege.");
        File.CreateSymbolicLink(_folder["link"], input);
        Directory.CreateSymbolicLink(_folder["folder"], _folder[""]);
        RequireRefused(_folder["link"], option);
        RequireRefused(_folder[Path.Combine("folder", input)], option);
        RequireRefused(Path.GetRelativePath(Environment.CurrentDirectory, _folder[input]), option);
    }

    [Fact]
    public void An_input_is_not_overwritten_by_a_picture()
    {
        string text = Path.Combine("maps", "sentence0-head1.png");
        Dictionary<string, byte[]> before = Contents();
        string error = InProcess.Fail(2, "demo", "--heads", "2", "--text", _folder[text], "--out", _folder["maps"]);
        Assert.Contains("--out", error, StringComparison.Ordinal);
        Assert.Contains("is the file of --text", error, StringComparison.Ordinal);
        Assert.Equal(before, Contents());
    }

    [Fact]
    public void A_folder_for_pictures_that_is_a_file_is_refused() => Assert.Contains(
        "is a file; it must be a folder", InProcess.Fail(2, "demo", "--out", _folder["config.json"]), StringComparison.Ordinal);

    [Theory]
    [InlineData("run", "--weights", "")]
    [InlineData("run", "--output", "")]
    [InlineData("demo", "--out", "")]
    [InlineData("demo", "--text", "")]
    [InlineData("verify", "--onnx", "")]
    public void An_empty_path_is_refused_by_the_name_of_its_option(params string[] arguments) => Assert.Contains(
        $"{arguments[1]} is empty; it must be a path.", InProcess.Fail(2, arguments), StringComparison.Ordinal);

    [Theory]
    [InlineData("", "is a folder")]
    [InlineData("no/y.safetensors", "there is no folder")]
    public void A_path_that_cannot_be_written_is_refused_before_anything_is_computed(string output, string message)
    {
        CliResult result = InProcess.Run(() => throw new InvalidOperationException("no engine is needed"), RunArguments(_folder[output]));
        Assert.Contains(message, InProcess.RequireError(2, result), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("y.safetensors")]
    [InlineData("y.npy")]
    public void A_full_disk_is_exit_code_1_and_leaves_the_old_file(string output)
    {
        string disk = _folder["disk"];
        Directory.CreateDirectory(disk);
        Assert.SkipUnless(
            OperatingSystem.IsLinux() && Shell($"mount -t tmpfs -o size=4096,nr_inodes=3 tmpfs '{disk}'").ExitCode == 0,
            "A small disk cannot be mounted.");
        try
        {
            string file = Path.Combine(disk, output);
            File.WriteAllText(file, "old");
            string error = InProcess.Fail(1, RunArguments(file));
            Assert.Contains($"'{file}' cannot be written: ", error, StringComparison.Ordinal);
            Assert.Equal("old", File.ReadAllText(file));
            Assert.Equal([file], Directory.GetFileSystemEntries(disk));
        }
        finally
        {
            Assert.Equal(0, Shell($"umount '{disk}'").ExitCode);
        }
    }

    [Theory]
    [InlineData("devices")]
    [InlineData("devices", "--json")]
    public void Standard_output_that_is_full_is_exit_code_1(params string[] arguments)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "There is no /dev/full.");
        CliResult result = Shell($"{Tool} {string.Join(' ', arguments)} > /dev/full");
        Assert.Equal(1, result.ExitCode);
        Assert.StartsWith("attention: What was computed cannot be printed: ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Standard_output_gets_the_tensors_alone_and_standard_error_the_table()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The name is Linux's.");
        string[] arguments = RunArguments(_folder["y.safetensors"]);
        Assert.Equal(0, InProcess.Run(arguments).ExitCode);
        string command = $"{Tool} {string.Join(' ', RunArguments("/dev/stdout").Select(one => $"'{one}'"))}";
        foreach (string redirection in new[] { "| cat >", ">" })
        {
            CliResult result = Shell($"set -o pipefail; {command} {redirection} '{_folder["stdout"]}'");
            Assert.Equal(0, result.ExitCode);
            Assert.Contains("GFLOP/s", result.Error, StringComparison.Ordinal);
            Assert.Equal(File.ReadAllBytes(_folder["y.safetensors"]), File.ReadAllBytes(_folder["stdout"]));
        }
    }

    private static string Tool => $"dotnet '{Path.Combine(AppContext.BaseDirectory, "attention.dll")}'";

    private static CliResult Shell(string command)
    {
        using var process = Process.Start(
            new ProcessStartInfo("bash", ["-c", command]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return new CliResult(process.ExitCode, output.Result, error);
    }

    private void RequireRefused(string output, string option)
    {
        Dictionary<string, byte[]> before = Contents();
        string error = InProcess.RequireError(
            2, InProcess.Run(() => throw new InvalidOperationException("no engine is needed"), RunArguments(output)));
        Assert.StartsWith($"attention: --output '{output}' is the file of {option} '", error, StringComparison.Ordinal);
        Assert.Equal(before, Contents());
    }

    private string[] RunArguments(string output) =>
    [
        "run", "--weights", _folder["w.safetensors"], "--heads", "2", "--input", _folder["x.safetensors"],
        "--context", _folder["c.safetensors"], "--device", "reference", "--output", output,
    ];

    private Dictionary<string, byte[]> Contents() => Directory
        .EnumerateFiles(_folder[""], "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint })
        .ToDictionary(file => file, File.ReadAllBytes);
}
