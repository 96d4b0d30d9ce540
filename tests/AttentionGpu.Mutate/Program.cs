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

    List<TestClass> classes = [];
    foreach (TestClass one in arguments.Programs.SelectMany(program => TestClass.Of(tree.ProgramOf(program))))
    {
        if (one.Watch(Path.Combine(tree.Reached, one.Name)))
            classes.Add(one);
        else
            Say($"{one.Name} fails without a mutant and is left out");
    }

    Say($"{classes.Count} test classes, {classes.Sum(one => one.Time.TotalSeconds):F0} s without mutants");
    classes.Sort((left, right) => left.Time.CompareTo(right.Time));

    var notes = new string[mutants.Count];
    var noticed = new bool[mutants.Count];
    int done = 0;

    // One mutant at a time to each worker: those that no test notices take a hundred times as long.
    OrderablePartitioner<int> queue = Partitioner.Create(Enumerable.Range(0, mutants.Count), EnumerablePartitionerOptions.NoBuffering);
    Parallel.ForEach(queue, new ParallelOptions { MaxDegreeOfParallelism = arguments.Workers }, i =>
    {
        long start = Stopwatch.GetTimestamp();
        TestClass[] reaching = [.. classes.Where(one => one.Reaches(mutants[i]))];
        notes[i] = reaching.Length == 0 ? "no test reaches it" : "NOT NOTICED";
        foreach (TestClass one in reaching)
        {
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > arguments.Seconds)
            {
                notes[i] = "NOT NOTICED in time";
                break;
            }

            Outcome outcome = one.Try(mutants[i]);
            if (outcome == Outcome.Passed)
                continue;
            noticed[i] = true;
            notes[i] = $"noticed by {one.Name}{(outcome == Outcome.DidNotEnd ? ", which does not end" : "")}";
            break;
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Say($"{Interlocked.Increment(ref done)} of {mutants.Count}: {mutants[i]}: {notes[i]}, {seconds:F0} s");
    });

    Console.WriteLine();
    for (int i = 0; i < mutants.Count; i++)
    {
        if (!noticed[i])
            Console.WriteLine($"- {mutants[i]} ({notes[i]})");
    }

    int count = noticed.Count(one => one);
    string sample = arguments.Faults ?? $"Seed {arguments.Seed}";
    Console.WriteLine($"{sample}: {count} of {mutants.Count} noticed, {100 * count / mutants.Count} %.");
    tree.Delete();

    // Every fault of a list must be noticed; of a random sample some are the same program.
    return arguments.Faults is not null && count < mutants.Count ? 1 : 0;

    static void Say(string line) => Console.WriteLine(FormattableString.Invariant($"{DateTime.Now:HH:mm:ss} {line}"));
});
