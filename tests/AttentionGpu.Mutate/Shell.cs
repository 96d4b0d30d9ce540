using System.Diagnostics;

namespace AttentionGpu.Mutate;

/// <summary>Runs programs.</summary>
internal static class Shell
{
    private static readonly TimeSpan _streams = TimeSpan.FromSeconds(30);

    /// <summary>Runs a program to its end, or ends it and all that it has started.</summary>
    /// <returns>The exit code, null where the time was over, and all that it printed.</returns>
    public static (int? ExitCode, string Output) Run(
        string program, IEnumerable<string> arguments, string folder, TimeSpan? limit = null,
        params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(limit ?? Timeout.InfiniteTimeSpan))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
            return (null, "");
        }

        // A process that it has started may hold the streams open.
        return (process.ExitCode, Task.WaitAll([output, error], _streams) ? output.Result + error.Result : "");
    }

    /// <summary>Runs a program that must succeed.</summary>
    public static string Require(string program, IEnumerable<string> arguments, string folder)
    {
        (int? exitCode, string output) = Run(program, arguments, folder);
        return exitCode == 0 ? output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} failed:\n{output}");
    }
}
