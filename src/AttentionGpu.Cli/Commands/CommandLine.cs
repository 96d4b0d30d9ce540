using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Commands;

/// <summary>Makes the engine of a command. Tests put a faulty device in its place.</summary>
/// <param name="device">The name that <c>--device</c> gives.</param>
/// <param name="options">How it uses the device; null for the defaults.</param>
internal delegate AttentionEngine EngineFactory(string device, AttentionEngineOptions? options = null);

/// <summary>The whole command line: parses, runs and turns every failure into one line and an exit code.</summary>
internal static class CommandLine
{
    public static RootCommand Create(EngineFactory open) => new("Multi-head attention on CUDA, OpenCL and the CPU.")
    {
        DevicesCommand.Create(),
        InspectCommand.Create(),
        RunCommand.Create(open),
        DemoCommand.Create(open),
        VerifyCommand.Create(open),
        BenchCommand.Create(open),
    };

    /// <summary>Runs a command and returns its exit code.</summary>
    public static int Run(string[] arguments) => Run(arguments, (device, options) => new AttentionEngine(device, options));

    /// <summary>The same on other engines.</summary>
    public static int Run(string[] arguments, EngineFactory open)
    {
        ParseResult parsed = Create(open).Parse(arguments);
        if (parsed.Action is ParseErrorAction)
            return Failure.Report(string.Join(" ", parsed.Errors.Select(OneLine)), ExitCode.BadInput);

        try
        {
            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (Exception exception)
        {
            return Failure.Report(exception);
        }
    }

    // The parser lists choices with line feeds and tabs.
    private static string OneLine(ParseError error) =>
        string.Join(' ', error.Message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
}
