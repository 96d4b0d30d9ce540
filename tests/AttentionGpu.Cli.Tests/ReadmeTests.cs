using System.CommandLine;
using System.Text.RegularExpressions;
using AttentionGpu.Cli.Commands;
using AttentionGpu.Cli.Files;
using AttentionGpu.Tests.Layers;
using AttentionGpu.Tests.Models;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

public class ReadmeTests
{
    private const string TestCommand = "dotnet test";

    private static readonly string _readme = File.ReadAllText(Repository.PathOf("README.md"));

    [Fact]
    public void The_examples_are_the_program_that_is_built_and_it_runs()
    {
        // Each example starts with a comment in a line of its own, but for the first.
        string program = File.ReadAllText(Repository.PathOf("tests", "AttentionGpu.ReadmeExample", "Program.cs"));
        string[] examples = Regex.Split(program, @"\n(?=// Decoding)");
        Assert.Equal(3, examples.Length);
        Assert.All(examples, example => Assert.Contains($"```csharp\n{example}```", _readme, StringComparison.Ordinal));
        CliResult result = Cli.RunAssembly("AttentionGpu.ReadmeExample.dll");
        Assert.Equal(0, result.ExitCode);
        Assert.Matches(@": the first output is -?\d", result.Output);
        Assert.Matches(@"10 and 13 tokens: -?\d", result.Output);
    }

    [Fact]
    public void The_two_commands_are_the_demo_and_the_tests_and_CI_runs_the_tests_as_they_stand_there()
    {
        string[] commands = Blocks("sh");
        Assert.Equal(["dotnet run --project src/AttentionGpu.Cli -- demo", TestCommand], commands);
        Assert.True(File.Exists(Repository.PathOf("src", "AttentionGpu.Cli", "AttentionGpu.Cli.csproj")));

        // A filter, or a project alone, would not be the command of the README; where its output goes does not matter.
        string[] lines = File.ReadAllLines(Repository.PathOf(".ci", "run"));
        string line = Assert.Single(lines, line => line.StartsWith(TestCommand, StringComparison.Ordinal));
        string command = Regex.Replace(line, @"\s\d*[<>]+&?\s*[^\s|;&]+", "").Split('|', ';', '&')[0];
        Assert.Equal(TestCommand, command.Trim());
    }

    [Fact]
    public void Every_command_and_option_of_the_command_line_is_one_that_there_is()
    {
        RootCommand root = CommandLine.Create((_, _) => throw new InvalidOperationException("Nothing is run."));
        IEnumerable<string> lines = _readme.Split('\n').Where(line => line.StartsWith("| `attention ", StringComparison.Ordinal));
        string[][] rows = [.. lines.Select(line => line.Split('`'))];
        Assert.Equal(root.Subcommands.Select(command => command.Name), rows.Select(row => row[1].Split(' ')[1]));
        foreach (string[] row in rows)
        {
            // The first quotation is an example of the command; the others are options, some with values.
            string[] quoted = [.. row.Where((_, index) => index % 2 == 1)];
            Assert.Empty(root.Parse(quoted[0].Split(' ')[1..]).Errors);
            Command command = Assert.Single(root.Subcommands, command => command.Name == quoted[0].Split(' ')[1]);
            IEnumerable<string> options = quoted
                .SelectMany(text => text.Split(' '))
                .Where(word => word.StartsWith("--", StringComparison.Ordinal));
            Assert.All(options, option => Assert.Contains(option, command.Options.Select(known => known.Name)));
        }
    }

    [Fact]
    public void The_command_for_a_layer_of_Llama_computes_it()
    {
        string[] words = Assert.Single(Blocks("console"), line => line.Contains("--model", StringComparison.Ordinal)).Split(' ');
        Assert.Equal(["attention", "run", "--model"], words[..3]);
        using var folder = new TemporaryFolder();
        PublishedModel llama = PublishedModels.All["Llama 2"] with { Prefix = "model.layers.0.self_attn.", Index = 0 };
        LayerCall call = llama.Call(seed: 3, length: 6);
        llama.Write(folder[""], "llama", call.Weights);
        StoredTensor.WriteNumPy(folder["x.npy"], "<f4", Data.Flat(call.Query), $"({string.Join(", ", call.Query.Lengths.ToArray())})");
        CliResult result = InProcess.Run(
            [.. words[1..].Select(word => word.StartsWith('/') ? folder[""] : word.EndsWith(".npy", StringComparison.Ordinal) ? folder[word] : word)]);
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Close.Assert(LayerDefinition.Run(call).Output, TensorFile.Read(folder["y.npy"], ""), "the README's layer of Llama");
    }

    private static string[] Blocks(string language) =>
    [
        .. _readme.Split($"\n```{language}\n")[1..].SelectMany(text => text[..text.IndexOf("\n```", StringComparison.Ordinal)].Split('\n')),
    ];
}
