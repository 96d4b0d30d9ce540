using System.Text.Json;
using System.Text.RegularExpressions;

namespace AttentionGpu.Cli.Tests;

/// <summary>The faults of <c>tests/faults.json</c>, each an edit of the source, must not fall behind the source.</summary>
public partial class FaultListTests
{
    private static readonly JsonElement[] _faults =
        [.. JsonElement.Parse(File.ReadAllText(Repository.PathOf("tests", "faults.json"))).EnumerateArray()];

    [Fact]
    public void Every_fault_edits_text_that_its_file_has() => Assert.All(_faults, fault =>
    {
        string name = Text(fault, "name");
        string path = Repository.PathOf(Text(fault, "file").Split('/'));
        Assert.True(File.Exists(path), $"\"{name}\": there is no file {path}.");
        string original = Collapsed(Text(fault, "original"));
        Assert.True(original.Length > 0 && original != Collapsed(Text(fault, "changed")), $"\"{name}\" changes nothing.");
        int needed = 1 + (fault.TryGetProperty("occurrence", out JsonElement occurrence) ? occurrence.GetInt32() : 0);
        int found = Collapsed(File.ReadAllText(path)).Split(original).Length - 1;
        Assert.True(found >= needed, $"\"{name}\": {path} has {found} of {needed} occurrences of \"{original}\".");
    });

    [Fact]
    public void Every_fault_has_a_name_of_its_own() => Assert.Distinct(_faults.Select(fault => Text(fault, "name")));

    private static string Text(JsonElement fault, string property) => fault.GetProperty(property).GetString()!;

    // An expression may go on in the next line of the source.
    private static string Collapsed(string text) => Whitespace().Replace(text, " ").Trim();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();
}
