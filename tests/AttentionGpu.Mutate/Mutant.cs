using Microsoft.CodeAnalysis;

namespace AttentionGpu.Mutate;

/// <summary>One change of one place in a source file. Its number switches it on in a build that has all of them.</summary>
/// <param name="Id">The number.</param>
/// <param name="File">The file, relative to the root.</param>
/// <param name="Line">The line in the file as it was, from 1.</param>
/// <param name="Place">The node that is replaced.</param>
/// <param name="Original">Its text.</param>
/// <param name="Changed">The text in its place; empty where a statement is left out.</param>
/// <param name="Name">What is wrong with it, where somebody has said so.</param>
internal sealed record Mutant(int Id, string File, int Line, SyntaxNode Place, string Original, string Changed, string? Name = null)
{
    public override string ToString()
    {
        string change = Changed.Length == 0 ? "left out" : $"`{OneLine(Changed)}`";
        return $"{(Name is null ? "" : $"{Name}: ")}{File}:{Line}: `{OneLine(Original)}` -> {change}";
    }

    private static string OneLine(string text)
    {
        string line = string.Join(' ', text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= 110 ? line : line[..107] + "...";
    }
}
