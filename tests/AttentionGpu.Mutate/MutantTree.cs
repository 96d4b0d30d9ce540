using System.Globalization;
using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace AttentionGpu.Mutate;

/// <summary>A copy of the tree with a random sample of mutants, or a list of faults, in it, built once.</summary>
internal sealed class MutantTree
{
    // Some changes do not compile. More are drawn than are asked for, and the surplus is dropped in the order of the draw.
    private const double Surplus = 1.3;

    private readonly Arguments _arguments;
    private readonly string _root;
    private readonly Dictionary<int, Mutant> _mutants = [];
    private readonly Dictionary<string, SyntaxNode> _files = [];

    public MutantTree(Arguments arguments, string repository)
    {
        _arguments = arguments;
        _root = Path.Combine(arguments.Work, "tree");
        Copy(repository);
        if (arguments.Faults is null)
            Draw();
        else
            Plant(PlantedFault.Read(Path.Combine(repository, arguments.Faults)));
        if (_mutants.Count == 0)
            throw new InvalidOperationException($"There is nothing to change in {string.Join(", ", arguments.Folders)}.");
    }

    /// <summary>The mutants that are in the build.</summary>
    public IReadOnlyList<Mutant> Mutants =>
        [.. _mutants.Values.OrderBy(mutant => mutant.Id).Take(_arguments.Faults is null ? _arguments.Count : int.MaxValue)];

    /// <summary>Where runs note the mutants that they reach.</summary>
    public string Reached => Path.Combine(_root, "reached");

    /// <summary>Statements that allow a change, in all chosen folders.</summary>
    public int Statements { get; private set; }

    /// <summary>Mutants that did not compile.</summary>
    public int Refused { get; private set; }

    // A link to what lies beside the repository.
    private string Shared => Path.Combine(_arguments.Work, "shared");

    /// <summary>The built program of a test project.</summary>
    public string ProgramOf(string project) =>
        Directory.GetFiles(Path.Combine(_root, "tests", project, "bin"), project, SearchOption.AllDirectories).Single();

    /// <summary>Builds the tests, and leaves out mutants until they compile.</summary>
    public void Build()
    {
        string switches = Path.Combine(_root, "Mutants");
        Directory.CreateDirectory(switches);
        string count = (_mutants.Keys.Max() + 1).ToString(CultureInfo.InvariantCulture);
        foreach (string kind in new[] { "Host", "Device" })
        {
            string text = Resource($"{kind}.txt").Replace("MOST", count, StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(switches, $"{kind}.cs"), text);
        }

        File.WriteAllText(Path.Combine(_root, "Directory.Build.targets"), """
            <Project>
              <PropertyGroup>
                <TreatWarningsAsErrors>false</TreatWarningsAsErrors>
                <EnforceCodeStyleInBuild>false</EnforceCodeStyleInBuild>
                <RunAnalyzers>false</RunAnalyzers>
                <GenerateDocumentationFile>false</GenerateDocumentationFile>
              </PropertyGroup>
              <ItemGroup Condition="$(MSBuildProjectDirectory.StartsWith('$(MSBuildThisFileDirectory)src/'))">
                <Compile Include="$(MSBuildThisFileDirectory)Mutants/Host.cs" />
              </ItemGroup>
              <ItemGroup Condition="$(MSBuildProjectDirectory.StartsWith('$(MSBuildThisFileDirectory)kernels/'))">
                <Compile Include="$(MSBuildThisFileDirectory)Mutants/Device.cs" />
              </ItemGroup>
            </Project>
            """);
        while (true)
        {
            Write();
            string[] failures = [.. _arguments.Programs.Select(Compile).Where(output => output.Length > 0)];
            if (failures.Length == 0)
                return;
            int[] refused =
            [
                .. failures.SelectMany(MutantWriter.Errors).Where(error => File.Exists(error.File))
                    .SelectMany(error => MutantWriter.At(File.ReadAllText(error.File), error.Line)).Distinct(),
            ];
            if (refused.Length == 0 || _arguments.Faults is not null)
                throw new InvalidOperationException($"The copy does not build:\n{failures[0]}");
            Refused += refused.Length;
            foreach (int id in refused)
                _mutants.Remove(id);
        }
    }

    /// <summary>Deletes the copy, and its folder where nothing else is in it.</summary>
    public void Delete()
    {
        Directory.Delete(_root, recursive: true);
        if (Directory.Exists(Shared))
            Directory.Delete(Shared);
        if (!Directory.EnumerateFileSystemEntries(_arguments.Work).Any())
            Directory.Delete(_arguments.Work);
    }

    private string Compile(string project)
    {
        (int? exitCode, string output) = Shell.Run(
            "dotnet", ["build", Path.Combine("tests", project), "-v", "quiet", "-nologo", "-clp:ErrorsOnly;NoSummary", "-nodeReuse:false"],
            _root);
        return exitCode == 0 ? "" : output;
    }

    private void Copy(string repository)
    {
        if (Directory.Exists(_root))
            Directory.Delete(_root, recursive: true);
        string files = Shell.Require("git", ["ls-files", "--cached", "--others", "--exclude-standard"], repository);
        foreach (string file in files.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (!File.Exists(Path.Combine(repository, file)))
                continue;
            string target = Path.Combine(_root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(Path.Combine(repository, file), target);
        }

        // Published vectors lie beside the repository.
        if (Directory.Exists(Path.Combine(repository, "..", "shared")) && !Directory.Exists(Shared))
            Directory.CreateSymbolicLink(Shared, Path.GetFullPath(Path.Combine(repository, "..", "shared")));
    }

    // Statements are drawn, each as likely as any other, then one change of each.
    private void Draw()
    {
        var statements = new List<(string File, IReadOnlyList<Change> Changes)>();
        IEnumerable<string> paths = _arguments.Folders.SelectMany(
            folder => Directory.GetFiles(Path.Combine(_root, folder), "*.cs", SearchOption.AllDirectories));
        foreach (string path in paths.Order(StringComparer.Ordinal))
        {
            string file = Path.GetRelativePath(_root, path);
            statements.AddRange(MutantFinder.Find(Parse(file)).Select(changes => (file, changes)));
        }

        Statements = statements.Count;
        var random = new Random(_arguments.Seed);
        (string File, IReadOnlyList<Change> Changes)[] order = [.. statements];
        random.Shuffle(order);
        foreach ((string file, IReadOnlyList<Change> changes) in order.Take((int)Math.Ceiling(_arguments.Count * Surplus)))
        {
            Change change = changes[random.Next(changes.Count)];
            Add(file, change);
        }
    }

    private void Plant(IReadOnlyList<PlantedFault> faults)
    {
        foreach (PlantedFault fault in faults)
            Add(fault.File, new Change(fault.Find(Parse(fault.File)), fault.Changed), fault.Name);
    }

    private void Add(string file, Change change, string? name = null)
    {
        int line = change.Place.GetLocation().GetLineSpan().StartLinePosition.Line + 1;
        int id = _mutants.Count;
        _mutants[id] = new Mutant(id, file, line, change.Place, change.Place.ToString(), change.Text, name);
    }

    private SyntaxNode Parse(string file)
    {
        if (_files.TryGetValue(file, out SyntaxNode? known))
            return known;
        string text = File.ReadAllText(Path.Combine(_root, file));
        return _files[file] = CSharpSyntaxTree.ParseText(text, new CSharpParseOptions(LanguageVersion.Preview)).GetRoot();
    }

    private void Write()
    {
        foreach ((string file, SyntaxNode root) in _files)
        {
            string text = MutantWriter.Write(root, [.. _mutants.Values.Where(mutant => mutant.File == file)]);
            string path = Path.Combine(_root, file);
            if (File.ReadAllText(path) != text)
                File.WriteAllText(path, text);
        }
    }

    private static string Resource(string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
