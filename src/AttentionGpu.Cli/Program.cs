using System.CommandLine;
using System.CommandLine.Invocation;
using AttentionGpu.Cli.Commands;
using AttentionGpu.Cli.Output;

var root = new RootCommand("Multi-head attention on CUDA, OpenCL and the CPU.")
{
    DevicesCommand.Create(),
    RunCommand.Create(),
    DemoCommand.Create(),
    VerifyCommand.Create(),
    BenchCommand.Create(),
};

ParseResult parsed = root.Parse(args);
if (parsed.Action is ParseErrorAction)
    return Failure.Report(string.Join(" ", parsed.Errors.Select(error => error.Message)), ExitCode.BadInput);

try
{
    return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (Exception exception)
{
    return Failure.Report(exception);
}
