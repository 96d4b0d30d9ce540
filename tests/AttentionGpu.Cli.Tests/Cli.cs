using System.Diagnostics;

namespace AttentionGpu.Cli.Tests;

/// <summary>What a process printed and returned.</summary>
internal sealed record CliResult(int ExitCode, string Output, string Error);

/// <summary>Runs programs that lie beside the tests, as processes.</summary>
internal static class Cli
{
    private static readonly TimeSpan _limit = TimeSpan.FromMinutes(5);

    /// <summary>The command line tool.</summary>
    public static CliResult Run(params string[] arguments) => RunAssembly("attention.dll", arguments);

    /// <summary>An assembly with an entry point.</summary>
    public static CliResult RunAssembly(string assembly, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, assembly), .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        start.Environment.Remove("ATTENTION_DEVICE");
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(_limit))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"'{string.Join(' ', arguments)}' did not end within {_limit}.");
        }

        return new CliResult(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Runs the tool and requires success.</summary>
    public static string Succeed(params string[] arguments)
    {
        CliResult result = Run(arguments);
        Assert.True(result.ExitCode == 0, $"'{string.Join(' ', arguments)}' exited with {result.ExitCode}: {result.Error}");
        Assert.Equal("", result.Error);
        return result.Output;
    }

    /// <summary>Runs the tool and requires an error in one line.</summary>
    public static string Fail(int exitCode, params string[] arguments)
    {
        CliResult result = Run(arguments);
        Assert.True(result.ExitCode == exitCode, $"'{string.Join(' ', arguments)}' exited with {result.ExitCode}: {result.Error}");
        Assert.StartsWith("attention: ", result.Error, StringComparison.Ordinal);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
        return result.Error;
    }
}
