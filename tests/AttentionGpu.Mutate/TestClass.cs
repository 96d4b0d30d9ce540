using System.Diagnostics;
using System.Globalization;

namespace AttentionGpu.Mutate;

/// <summary>How a class of tests ended.</summary>
internal enum Outcome
{
    Passed,
    Failed,

    /// <summary>It took far longer than without the mutant.</summary>
    DidNotEnd,
}

/// <summary>A class of tests, how long it takes, and the mutants that it reaches.</summary>
internal sealed class TestClass(string program, string name)
{
    // A run that takes so much longer than without a mutant does not come to an end.
    private const double LimitFactor = 4.0;

    // More than a test's own patience with a request that never ends.
    private static readonly TimeSpan _slack = TimeSpan.FromSeconds(90);

    private readonly HashSet<int> _reached = [];

    public string Name => name;

    public TimeSpan Time { get; private set; }

    /// <summary>All test classes of a program.</summary>
    public static IEnumerable<TestClass> Of(string program) =>
        Shell.Require(program, ["-noLogo", "-noColor", "-list", "classes"], Path.GetDirectoryName(program)!)
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .Where(line => line.Contains('.', StringComparison.Ordinal) && !line.Contains(' ', StringComparison.Ordinal))
            .Select(name => new TestClass(program, name));

    /// <summary>Whether the class runs code that the mutant changes.</summary>
    public bool Reaches(Mutant mutant) => mutant.File.StartsWith("kernels", StringComparison.Ordinal) || _reached.Contains(mutant.Id);

    /// <summary>Runs the tests without a mutant, and notes which ones they reach.</summary>
    /// <returns>Whether all passed.</returns>
    public bool Watch(string folder)
    {
        Directory.CreateDirectory(folder);
        long start = Stopwatch.GetTimestamp();
        (int? exitCode, _) = Run(null, ("ATTENTION_MUTANTS_REACHED", folder));
        Time = Stopwatch.GetElapsedTime(start);
        foreach (string file in Directory.GetFiles(folder))
        {
            byte[] reached = File.ReadAllBytes(file);
            _reached.UnionWith(Enumerable.Range(0, reached.Length).Where(id => reached[id] != 0));
        }

        return exitCode == 0;
    }

    /// <summary>Runs the tests with the mutant. A failure counts where the tests pass without it, also now.</summary>
    public Outcome Try(Mutant mutant)
    {
        TimeSpan limit = LimitFactor * Time + _slack;
        (int? exitCode, _) = Run(limit, ("ATTENTION_MUTANT", mutant.Id.ToString(CultureInfo.InvariantCulture)));
        return exitCode switch
        {
            0 => Outcome.Passed,
            _ when Run(limit).ExitCode != 0 => Outcome.Passed,
            null => Outcome.DidNotEnd,
            _ => Outcome.Failed,
        };
    }

    private (int? ExitCode, string Output) Run(TimeSpan? limit, params (string, string)[] environment) =>
        Shell.Run(program, ["-noLogo", "-noColor", "-stopOnFail", "-class", name], Path.GetDirectoryName(program)!, limit, environment);
}
