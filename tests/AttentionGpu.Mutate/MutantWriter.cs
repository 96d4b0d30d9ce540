using System.Globalization;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace AttentionGpu.Mutate;

/// <summary>Writes a file with all of its mutants, each behind a question for its number.</summary>
internal static partial class MutantWriter
{
    private const string Question = "global::AttentionGpu.Mutation.Mutants.Is";

    public static string Write(SyntaxNode root, IReadOnlyCollection<Mutant> mutants)
    {
        ILookup<SyntaxNode, Mutant> places = mutants.ToLookup(mutant => mutant.Place);
        return root.ReplaceNodes(
            places.Select(place => place.Key), (original, rewritten) => places[original].Aggregate(rewritten, Replace)).ToFullString();
    }

    /// <summary>
    /// The mutants of a written file that a compiler's error at a line may come from: those on the line, or else those of its member, or
    /// else all.
    /// </summary>
    public static IReadOnlyList<int> At(string text, int line)
    {
        SyntaxTree tree = CSharpSyntaxTree.ParseText(text);
        (int Id, SyntaxNode Node)[] all =
        [
            .. tree.GetRoot().DescendantNodes().OfType<InvocationExpressionSyntax>().Where(call => call.Expression.ToString() == Question)
                .Select(call => (int.Parse(call.ArgumentList.Arguments[0].ToString(), CultureInfo.InvariantCulture), (SyntaxNode)call)),
        ];
        Func<SyntaxNode, SyntaxNode?>[] ranges =
        [
            node => node.Ancestors().FirstOrDefault(
                one => one is StatementSyntax or ArrowExpressionClauseSyntax or EqualsValueClauseSyntax),
            node => node.Ancestors().FirstOrDefault(one => one is MemberDeclarationSyntax),
            node => tree.GetRoot(),
        ];
        foreach (Func<SyntaxNode, SyntaxNode?> range in ranges)
        {
            int[] ids =
            [
                .. all.Where(one => range(one.Node) is { } around && Covers(tree.GetLineSpan(around.Span), line))
                    .Select(one => one.Id).Distinct(),
            ];
            if (ids.Length > 0)
                return ids;
        }

        return [];
    }

    /// <summary>File and line of each error that a build has printed.</summary>
    public static IReadOnlyList<(string File, int Line)> Errors(string output) =>
    [
        .. ErrorLine().Matches(output)
            .Select(match => (match.Groups[1].Value, int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))).Distinct(),
    ];

    // Lines of a span count from 0.
    private static bool Covers(FileLinePositionSpan span, int line) =>
        span.StartLinePosition.Line < line && span.EndLinePosition.Line >= line - 1;

    private static SyntaxNode Replace(SyntaxNode node, Mutant mutant)
    {
        string question = $"{Question}({mutant.Id})";

        // Braces around the whole: an else that follows belongs to the statement before.
        SyntaxNode replacement = node is StatementSyntax
            ? SyntaxFactory.ParseStatement(
                mutant.Changed.Length == 0
                    ? $"{{ if (!{question}) {{ {node} }} }}"
                    : $"{{ if ({question}) {{ {mutant.Changed} }} else {{ {node} }} }}")
            : SyntaxFactory.ParseExpression($"({question} ? ({mutant.Changed}) : ({node}))");
        return replacement.WithTriviaFrom(node);
    }

    [GeneratedRegex(@"^\s*(/[^(\n]+)\((\d+),\d+\): error ", RegexOptions.Multiline)]
    private static partial Regex ErrorLine();
}
