using AttentionGpu.Cli.Commands;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Tests;

/// <summary>
/// Runs the command line inside the test process: the start of another process costs more than most commands, and a faulty engine cannot
/// be passed to it.
/// </summary>
internal static class InProcess
{
    // The console belongs to the process, tests run at the same time: each writes to its own strings.
    private static readonly AsyncLocal<(StringWriter Output, StringWriter Error)?> _streams = new();

    static InProcess()
    {
        Terminal.HasOutput = false;
        Terminal.HasError = false;
        Console.SetOut(new Redirected(Console.Out, () => _streams.Value?.Output));
        Console.SetError(new Redirected(Console.Error, () => _streams.Value?.Error));
    }

    /// <summary>The command line on the engines of this machine.</summary>
    public static CliResult Run(params string[] arguments) => Capture(() => CommandLine.Run(arguments));

    /// <summary>The command line on another engine, which the command disposes of.</summary>
    public static CliResult Run(Func<AttentionEngine> open, params string[] arguments) =>
        Capture(() => CommandLine.Run(arguments, (_, _) => open()));

    /// <summary>The command line on the engines of this machine; requires an error in one line, and nothing else.</summary>
    public static string Fail(int exitCode, params string[] arguments) => RequireError(exitCode, Run(arguments));

    /// <summary>Requires an error in one line, and nothing else.</summary>
    public static string RequireError(int exitCode, CliResult result)
    {
        Assert.Equal((exitCode, ""), (result.ExitCode, result.Output));
        Assert.Matches("^attention: [^\r\n]*[^\r\n ]\n$", result.Error);
        return result.Error;
    }

    /// <summary>What an action prints and returns.</summary>
    public static CliResult Capture(Func<int> action)
    {
        (StringWriter Output, StringWriter Error) streams = (new StringWriter(), new StringWriter());
        _streams.Value = streams;
        try
        {
            int exitCode = action();
            return new CliResult(exitCode, streams.Output.ToString(), streams.Error.ToString());
        }
        finally
        {
            _streams.Value = null;
        }
    }

    /// <summary>Writes to a test's writer where it has one.</summary>
    private sealed class Redirected(TextWriter original, Func<TextWriter?> find) : TextWriter
    {
        public override System.Text.Encoding Encoding => original.Encoding;

        private TextWriter Target => find() ?? original;

        public override void Write(char value) => Target.Write(value);

        public override void Write(char[] buffer, int index, int count) => Target.Write(buffer, index, count);

        public override void Write(string? value) => Target.Write(value);

        public override void Flush() => Target.Flush();
    }
}
