using System.Text.Json;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace AttentionGpu.Mutate;

/// <summary>A fault of a list, which a test must notice.</summary>
/// <param name="Name">What is wrong with it.</param>
/// <param name="File">The file, relative to the root.</param>
/// <param name="Original">The text of an expression or a statement.</param>
/// <param name="Changed">The text in its place; empty to leave the statement out.</param>
/// <param name="Occurrence">Which of several with this text, from 0.</param>
internal sealed record PlantedFault(string Name, string File, string Original, string Changed, int Occurrence = 0)
{
    public static IReadOnlyList<PlantedFault> Read(string path) =>
        JsonSerializer.Deserialize<PlantedFault[]>(System.IO.File.ReadAllText(path), JsonSerializerOptions.Web)!;

    /// <summary>The expression or statement in a file.</summary>
    public SyntaxNode Find(SyntaxNode root) =>
        root.DescendantNodes().Where(node => node is ExpressionSyntax or StatementSyntax && node.ToString() == Original).ElementAtOrDefault(Occurrence)
        ?? throw new InvalidOperationException($"'{Name}': {File} has no '{Original}' any more; bring the list up to date.");
}
