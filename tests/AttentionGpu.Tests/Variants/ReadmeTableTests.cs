using System.Globalization;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>The README's table of variants and backends is what running each of them gives.</summary>
public class ReadmeTableTests
{
    private const string Start = "<!-- variants: made by ReadmeTableTests -->";
    private const string End = "<!-- end of variants -->";
    private const int Problems = 3;
    private const int MaxLength = 20;

    [Fact]
    public void The_table_is_what_the_tests_give()
    {
        string path = Repository.PathOf("README.md");
        string readme = File.ReadAllText(path);
        int start = readme.IndexOf(Start, StringComparison.Ordinal) + Start.Length;
        int end = readme.IndexOf(End, StringComparison.Ordinal);
        Assert.True(start >= Start.Length && end > start, $"{path} must have the marks '{Start}' and '{End}'.");
        string made = "\n\n" + string.Join("\n", Table()) + "\n\n";
        if (made == readme[start..end])
            return;
        string received = Path.ChangeExtension(path, ".received.md");
        File.WriteAllText(received, readme[..start] + made + readme[end..]);
        Assert.Fail($"The table in {path} is not what the tests give: see {received}, and take it over if it is right.");
    }

    private static IEnumerable<string> Table()
    {
        string[] backends = [.. Engines.All];
        yield return $"| variant | {string.Join(" | ", backends.Select(backend => $"`{backend}`"))} |";
        yield return $"|---|{string.Concat(backends.Select(_ => "---|"))}";
        foreach ((string name, string[] choices) in VariantKind.Factors.Where(factor => factor.Name != "few queries"))
        {
            foreach (string choice in choices.Where(choice => choice.Length > 0))
                yield return $"| {choice} | {string.Join(" | ", backends.Select(backend => Result(name, choice, backend)))} |";
        }
    }

    // The right answers are the definition's: the reference is one of the backends.
    private static string Result(string name, string choice, string backend)
    {
        VariantKind kind = VariantKind.With(choice);
        if (name == "prefix")
            kind = VariantKind.With("causal, top left", choice);
        if (kind.PresentInPlace)
            kind = VariantKind.With("past", choice);
        try
        {
            for (int i = 0; i < Problems; i++)
            {
                var problem = VariantCase.Create(kind, new Random(string.GetHashCode(choice, StringComparison.Ordinal) + i), MaxLength);
                NaiveAttention.Run(problem).AssertClose(VariantRun.Run(problem, Engines.Get(backend)), problem, string.Create(CultureInfo.InvariantCulture, $"{choice} {i}"));
            }

            return "yes";
        }
        catch (Exception exception)
        {
            return exception is Xunit.Sdk.XunitException ? "wrong" : "no";
        }
    }
}
