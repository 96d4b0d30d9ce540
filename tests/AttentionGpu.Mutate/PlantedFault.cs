using System.Text.Json;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace AttentionGpu.Mutate;

/// <summary>A fault of a list, which a test must notice.</summary>
/// <param name="Name">What is wrong with it.</param>
/// <param name="File">The file, relative to the root.</param>
/// <param name="Original">The text of an expression or a statement.</param>
/// <param name="Changed">The text in its place; empty to leave the statement out.</param>
/// <param name="Member">The member that holds it, where the file has the text in several.</param>
/// <param name="Occurrence">Which of several in the member, from 0; without it there must be one.</param>
internal sealed record PlantedFault(
    string Name, string File, string Original, string Changed, string? Member = null, int? Occurrence = null)
{
    public static IReadOnlyList<PlantedFault> Read(string path) =>
        JsonSerializer.Deserialize<PlantedFault[]>(System.IO.File.ReadAllText(path), JsonSerializerOptions.Web)!;

    /// <summary>The expression or statement in a file.</summary>
    public SyntaxNode Find(SyntaxNode root)
    {
        SyntaxNode[] found =
        [
            .. root.DescendantNodes().Where(node => node is ExpressionSyntax or StatementSyntax && node.ToString() == Original
                && (Member is null || node.Ancestors().Any(IsMember))),
        ];
        return Occurrence is int index && index < found.Length ? found[index]
            : Occurrence is null && found.Length == 1 ? found[0]
            : throw new InvalidOperationException($"'{Name}': {File} has '{Original}' {found.Length} times; bring the list up to date.");
    }

    private bool IsMember(SyntaxNode node) => node switch
    {
        MethodDeclarationSyntax method => method.Identifier.Text == Member,
        PropertyDeclarationSyntax property => property.Identifier.Text == Member,
        _ => false,
    };
}
