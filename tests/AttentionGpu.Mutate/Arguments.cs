using System.CommandLine;

namespace AttentionGpu.Mutate;

/// <summary>What a run is asked for.</summary>
/// <param name="Folders">Folders whose files are changed, relative to the root.</param>
/// <param name="Count">Mutants to try.</param>
/// <param name="Seed">The seed that draws them.</param>
/// <param name="Faults">A file of faults to plant in place of a random sample; null for none.</param>
/// <param name="Programs">The test programs, by project.</param>
/// <param name="Workers">Test programs that run at once.</param>
/// <param name="Seconds">Seconds of tests for a mutant, after which no more are started.</param>
/// <param name="Work">The folder that the tree is copied to.</param>
internal sealed record Arguments(
    IReadOnlyList<string> Folders, int Count, int Seed, string? Faults, IReadOnlyList<string> Programs, int Workers, int Seconds,
    string Work)
{
    private static readonly string[] _folders =
    [
        "src/AttentionGpu/Operators", "src/AttentionGpu/Layers", "src/AttentionGpu/Backends", "src/AttentionGpu/Memory",
        "src/AttentionGpu/Serialization", "src/AttentionGpu.Hosting", "src/AttentionGpu.Service", "src/AttentionGpu.Cli",
    ];

    private static readonly string[] _programs =
    [
        "AttentionGpu.Tests", "AttentionGpu.Kernels.Tests", "AttentionGpu.Hosting.Tests", "AttentionGpu.Service.Tests",
        "AttentionGpu.Cli.Tests",
    ];

    /// <summary>Runs an action with the arguments of a command line.</summary>
    public static int Parse(string[] arguments, Func<Arguments, int> run)
    {
        var folders = new Option<string[]>("--folders")
        {
            Description = "Folders whose files are changed.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => _folders,
        };
        var count = new Option<int>("--count") { Description = "Mutants to try.", DefaultValueFactory = _ => 100 };
        var seed = new Option<int>("--seed")
        {
            Description = "The seed that draws them; by default a new one.",
            DefaultValueFactory = _ => Random.Shared.Next(100_000),
        };
        var faults = new Option<string?>("--faults")
        {
            Description = "A file of faults (tests/faults.json) to plant in place of a random sample.",
        };
        var programs = new Option<string[]>("--tests")
        {
            Description = "Test projects whose tests are run.",
            AllowMultipleArgumentsPerToken = true,
            DefaultValueFactory = _ => _programs,
        };
        var workers = new Option<int>("--workers")
        {
            Description = "Test programs that run at once.",
            DefaultValueFactory = _ => Math.Max(1, Environment.ProcessorCount / 2),
        };
        var seconds = new Option<int>("--seconds")
        {
            Description = "Seconds of tests for a mutant, after which no more are started.",
            DefaultValueFactory = _ => 600,
        };
        var work = new Option<string>("--work")
        {
            Description = "The folder that the tree is copied to and built in.",
            DefaultValueFactory = _ => Path.Combine(Path.GetTempPath(), $"attention-mutants-{Environment.ProcessId}"),
        };
        var command = new RootCommand("Plants faults in a copy of the tree, one at a time, and prints those that no test notices.")
        {
            folders, count, seed, faults, programs, workers, seconds, work,
        };
        command.SetAction(parsed => run(new Arguments(
            parsed.GetRequiredValue(folders), parsed.GetRequiredValue(count), parsed.GetRequiredValue(seed), parsed.GetValue(faults),
            parsed.GetRequiredValue(programs), parsed.GetRequiredValue(workers), parsed.GetRequiredValue(seconds),
            Path.GetFullPath(parsed.GetRequiredValue(work)))));
        return command.Parse(arguments).Invoke();
    }
}
