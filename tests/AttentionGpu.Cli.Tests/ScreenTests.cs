using System.Globalization;
using System.Text.Json;
using AttentionGpu.Cli.Output;
using AttentionGpu.Cli.Verify;
using Spectre.Console;

namespace AttentionGpu.Cli.Tests;

/// <summary>What reaches a terminal: text as it is, in tables that fit.</summary>
public class ScreenTests
{
    // A title for the terminal's window, colours by one character (C1), a change of direction, a separator of lines, a tag.
    private const string Hostile = "a\u001b]0;owned\u0007b\u009b31mc\u202ed\u2028ef\U000e0041g\u007fh\u2067";
    private const string Shown = @"a\u001b]0;owned\u0007b\u009b31mc\u202ed\u2028ef\udb40\udc41g\u007fh\u2067";

    [Theory]
    [InlineData("", "")]
    [InlineData(Hostile, Shown)]
    [InlineData("plain, ünïcödé, 漢字, שלום, 👩\u200d🚀, \\u001b [red]", "plain, ünïcödé, 漢字, שלום, 👩\u200d🚀, \\u001b [red]")]
    [InlineData("tab\tline\nend\r", @"tab\u0009line\u000aend\u000d")]
    public void Characters_that_command_a_terminal_are_shown(string text, string shown) => Assert.Equal(shown, Visible.Text(text));

    // An attribute cannot hold one.
    [Fact]
    public void Half_a_surrogate_pair_is_shown() => Assert.Equal(@"a\ud800b\udc00", Visible.Text("a\ud800b\udc00"));

    [Fact]
    public void Lines_tables_and_errors_are_shown()
    {
        CliResult result = InProcess.Capture(() =>
        {
            Screen.Output.Lines(Hostile);
            Screen.Output.Table(new Table().Title(Screen.Cell(Hostile)).AddColumn(Screen.Cell(Hostile)).AddRow(Screen.Cell("[red]" + Hostile)));
            return Failure.Report(new IOException(Hostile));
        });
        Assert.Equal($"attention: {Shown}\n", result.Error);
        Assert.StartsWith(Shown + "\n", result.Output, StringComparison.Ordinal);
        Assert.Equal(4, result.Output.Split("owned").Length - 1);
        Assert.Equal(result.Output, string.Join('\n', result.Output.Split('\n').Select(Visible.Text)));
    }

    [Fact]
    public void JSON_is_shown_and_read_back_as_it_was()
    {
        const string text = "a\u001b]0;owned\u0007b\u009b31mc\u202ed\u2028e\u007fh\u2067\U000e0041\"\\\n";
        CliResult result = InProcess.Capture(() =>
        {
            Json.Print(new { text, more = new[] { text } }, Screen.Output);
            return 0;
        });
        Assert.Equal(result.Output, string.Join('\n', result.Output.Split('\n').Select(Visible.Text)));
        Assert.Equal(text, JsonElement.Parse(result.Output).GetProperty("text").GetString());
    }

    [Fact]
    public void Names_of_tensors_and_sentences_are_shown()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder["text.txt"], "One \u001b]0;owned\u0007 two \u202e three.");
        foreach (string[] form in new[] { Array.Empty<string>(), ["--json"] })
        {
            string output = InProcess.Run(["demo", "--text", folder["text.txt"], "--heads", "1", .. form]).Output;
            Assert.Equal(output, string.Join('\n', output.Split('\n').Select(Visible.Text)));
        }

        Serialization.SafetensorsFile.Write(
            folder["w.safetensors"],
            new Dictionary<string, System.Numerics.Tensors.Tensor<float>> { ["\u001b[2J"] = System.Numerics.Tensors.Tensor.Create([1f], [1]) });
        Assert.Contains(@"\u001b[2J", InProcess.Fail(2, "demo", "--weights", folder["w.safetensors"]), StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_is_printed_but_by_the_screen()
    {
        string[] sources = Directory.GetFiles(Repository.PathOf("src", "AttentionGpu.Cli"), "*.cs", SearchOption.AllDirectories);
        IEnumerable<string> others = sources.Where(file => Path.GetFileName(Path.GetDirectoryName(file)) is not ("Output" or "obj" or "bin"));
        Assert.True(others.Count() > 20);
        Assert.All(others, file => Assert.DoesNotMatch(@"\b(Console\.|AnsiConsole|Markup\.|MarkupLine)", File.ReadAllText(file).Replace("Spectre.Console", "", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("devices")]
    [InlineData("demo")]
    [InlineData("demo", "--heads", "64")]
    [InlineData("bench", "--shape", "1,1,16,16")]
    public void Tables_fit_80_columns(params string[] arguments) => RequireWidth(InProcess.Run(arguments));

    [Fact]
    public void The_table_of_verify_fits_80_columns_and_has_the_notes_under_the_cases()
    {
        CliResult result = InProcess.Run(() => WrongDevice.Open(Wrong.Everything, Fault.Throws), "verify");
        RequireWidth(result);
        Assert.Contains(WrongDevice.Message.Split(' ')[0], result.Output, StringComparison.Ordinal);
        Assert.All(BuiltInCases.All, one => Assert.Contains(one.Name.Split(' ')[0], result.Output, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_head_of_the_demo_is_in_a_table()
    {
        string output = InProcess.Run("demo", "--heads", "64").Output;
        for (int head = 0; head < 64; head++)
            Assert.Equal(3, output.Split(string.Create(CultureInfo.InvariantCulture, $" head {head} attends to ")).Length - 1);
    }

    // Prose is one line each, which terminals wrap and files keep whole.
    private static void RequireWidth(CliResult result)
    {
        string[] rows = [.. result.Output.Split('\n').Where(line => line.Length > 0 && "┌│├└".Contains(line[0], StringComparison.Ordinal))];
        Assert.NotEmpty(rows);
        Assert.All(rows, row => Assert.InRange(row.Length, 1, 80));
    }
}
