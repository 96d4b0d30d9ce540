using System.Collections.Concurrent;
using System.Diagnostics;
using AttentionGpu.Mutate;

// The script tests/mutate starts this at the root of the repository.
return Arguments.Parse(args, arguments =>
{
    var tree = new MutantTree(arguments, Directory.GetCurrentDirectory());
    Say(arguments.Faults ?? $"seed {arguments.Seed}: {tree.Statements} statements in {string.Join(", ", arguments.Folders)}");
    tree.Build();
    IReadOnlyList<Mutant> mutants = tree.Mutants;
    Say($"{mutants.Count} mutants are built, {tree.Refused} did not compile");

    string watched = Path.Combine(arguments.Work, "reached", $"{Environment.ProcessId}");
    List<TestClass> classes = [];
    foreach (TestClass one in arguments.Programs.SelectMany(program => TestClass.Of(tree.ProgramOf(program))))
    {
        if (one.Watch(Path.Combine(watched, one.Name)))
            classes.Add(one);
        else
            Say($"{one.Name} fails without a mutant and is left out");
    }

    Say($"{classes.Count} test classes, {classes.Sum(one => one.Time.TotalSeconds):F0} s without mutants");
    classes.Sort((left, right) => left.Time.CompareTo(right.Time));

    var results = new (Mutant Mutant, string? Class, string Note)[mutants.Count];
    int done = 0;

    // One mutant at a time to each worker: those that no test notices take a hundred times as long.
    OrderablePartitioner<int> queue = Partitioner.Create(Enumerable.Range(0, mutants.Count), EnumerablePartitionerOptions.NoBuffering);
    Parallel.ForEach(queue, new ParallelOptions { MaxDegreeOfParallelism = arguments.Workers }, i =>
    {
        long start = Stopwatch.GetTimestamp();
        TestClass[] reaching = [.. classes.Where(one => one.Reaches(mutants[i]))];
        TestClass? noticing = reaching
            .TakeWhile(_ => Stopwatch.GetElapsedTime(start).TotalSeconds < arguments.Seconds)
            .FirstOrDefault(one => one.Notices(mutants[i]));
        string note = noticing is not null ? $"noticed by {noticing.Name}" : reaching.Length == 0 ? "no test reaches it" : "NOT NOTICED";
        results[i] = (mutants[i], noticing?.Name, note);
        Say($"{Interlocked.Increment(ref done)} of {mutants.Count}: {mutants[i]}: {note}, {Stopwatch.GetElapsedTime(start).TotalSeconds:F0} s");
    });

    Console.WriteLine();
    (Mutant Mutant, string? Class, string Note)[] survivors = [.. results.Where(result => result.Class is null)];
    foreach ((Mutant mutant, _, string note) in survivors)
        Console.WriteLine($"- {mutant} ({note})");
    int noticed = results.Length - survivors.Length;
    Console.WriteLine($"{arguments.Faults ?? $"Seed {arguments.Seed}"}: {noticed} of {results.Length} mutants noticed, {100.0 * noticed / Math.Max(1, results.Length):F0} %.");

    // Every fault of a list must be noticed; of a random sample some are the same program.
    return arguments.Faults is not null && survivors.Length > 0 ? 1 : 0;

    static void Say(string line) => Console.WriteLine(FormattableString.Invariant($"{DateTime.Now:HH:mm:ss} {line}"));
});
