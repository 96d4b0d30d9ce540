using System.Globalization;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace AttentionGpu.Mutate;

/// <summary>A change that a place in a file allows.</summary>
internal sealed record Change(SyntaxNode Place, string Text);

/// <summary>
/// Finds the changes that a file allows, statement by statement: other operators, negated or never true conditions, other literals,
/// swapped branches, statements left out. Messages of exceptions, log lines, attributes and constants are left alone: no test should depend
/// on their details.
/// </summary>
internal static class MutantFinder
{
    private static readonly Dictionary<SyntaxKind, string> _operators = new()
    {
        [SyntaxKind.AddExpression] = "-",
        [SyntaxKind.SubtractExpression] = "+",
        [SyntaxKind.MultiplyExpression] = "/",
        [SyntaxKind.DivideExpression] = "*",
        [SyntaxKind.ModuloExpression] = "*",
        [SyntaxKind.LessThanExpression] = "<=",
        [SyntaxKind.LessThanOrEqualExpression] = "<",
        [SyntaxKind.GreaterThanExpression] = ">=",
        [SyntaxKind.GreaterThanOrEqualExpression] = ">",
        [SyntaxKind.EqualsExpression] = "!=",
        [SyntaxKind.NotEqualsExpression] = "==",
        [SyntaxKind.LogicalAndExpression] = "||",
        [SyntaxKind.LogicalOrExpression] = "&&",
        [SyntaxKind.BitwiseAndExpression] = "|",
        [SyntaxKind.BitwiseOrExpression] = "&",
        [SyntaxKind.LeftShiftExpression] = ">>",
        [SyntaxKind.RightShiftExpression] = "<<",
    };

    private static readonly Dictionary<SyntaxKind, string> _assignments = new()
    {
        [SyntaxKind.AddAssignmentExpression] = "-=",
        [SyntaxKind.SubtractAssignmentExpression] = "+=",
        [SyntaxKind.MultiplyAssignmentExpression] = "/=",
        [SyntaxKind.AndAssignmentExpression] = "|=",
        [SyntaxKind.OrAssignmentExpression] = "&=",
    };

    private static readonly Dictionary<string, string> _methods = new()
    {
        ["Min"] = "Max",
        ["Max"] = "Min",
        ["Any"] = "All",
        ["All"] = "Any",
        ["First"] = "Last",
        ["Last"] = "First",
        ["Take"] = "Skip",
        ["Skip"] = "Take",
        ["Floor"] = "Ceiling",
        ["Ceiling"] = "Floor",
        ["StartsWith"] = "EndsWith",
        ["EndsWith"] = "StartsWith",
    };

    /// <summary>
    /// The changes of each statement that allows any. A member's expression body and a field's initial value count as statements.
    /// </summary>
    public static IReadOnlyList<IReadOnlyList<Change>> Find(SyntaxNode root)
    {
        var statements = new Dictionary<SyntaxNode, List<Change>>();
        foreach (SyntaxNode node in root.DescendantNodes())
        {
            if (IsLeftAlone(node) || Statement(node) is not { } statement)
                continue;
            foreach (string text in Texts(node))
            {
                if (!statements.TryGetValue(statement, out List<Change>? changes))
                    statements[statement] = changes = [];
                changes.Add(new Change(node, text));
            }
        }

        return [.. statements.OrderBy(pair => pair.Key.SpanStart).Select(pair => pair.Value)];
    }

    private static SyntaxNode? Statement(SyntaxNode node) =>
        node.AncestorsAndSelf().FirstOrDefault(one => one is StatementSyntax or ArrowExpressionClauseSyntax
            or EqualsValueClauseSyntax
        {
            Parent: PropertyDeclarationSyntax or VariableDeclaratorSyntax { Parent.Parent: FieldDeclarationSyntax },
        });

    private static bool IsLeftAlone(SyntaxNode node) => node.AncestorsAndSelf().Any(one => one switch
    {
        AttributeListSyntax or PatternSyntax or SwitchLabelSyntax or EnumMemberDeclarationSyntax or ParameterListSyntax or BaseListSyntax
            or ConstructorInitializerSyntax or InterpolatedStringExpressionSyntax or ThrowStatementSyntax or ThrowExpressionSyntax => true,
        LocalDeclarationStatementSyntax local => local.IsConst,
        FieldDeclarationSyntax field => field.Modifiers.Any(SyntaxKind.ConstKeyword),
        ObjectCreationExpressionSyntax creation => creation.Type.ToString().EndsWith("Exception", StringComparison.Ordinal),
        ExpressionStatementSyntax { Expression: InvocationExpressionSyntax call } => IsLog(call),
        ArgumentListSyntax { Parent: InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax member } } =>
            member.Name.Identifier.Text == "ConfigureAwait",
        InvocationExpressionSyntax call => call.Expression.ToString() == "nameof",
        _ => false,
    });

    // A logger's method that a source generator writes.
    private static bool IsLog(InvocationExpressionSyntax call) =>
        call.Expression is IdentifierNameSyntax { Identifier.Text: ['L', 'o', 'g', >= 'A' and <= 'Z', ..] };

    private static IEnumerable<string> Texts(SyntaxNode node)
    {
        // A name that a condition declares may be used behind it, so it cannot stand in two branches.
        bool declares = node.DescendantNodesAndSelf().Any(one => one is SingleVariableDesignationSyntax or DeclarationExpressionSyntax);
        switch (node)
        {
            case BinaryExpressionSyntax binary when _operators.TryGetValue(binary.Kind(), out string? other) && !declares:
                yield return $"({binary.Left}) {other} ({binary.Right})";
                break;
            case BinaryExpressionSyntax { Right: not ThrowExpressionSyntax } binary
                when binary.IsKind(SyntaxKind.CoalesceExpression) && !declares:
                yield return $"{binary.Right}";
                break;
            case IsPatternExpressionSyntax pattern when !declares:
                yield return $"!({pattern})";
                break;
            case PrefixUnaryExpressionSyntax unary
                when unary.Kind() is SyntaxKind.LogicalNotExpression or SyntaxKind.UnaryMinusExpression && !declares:
                yield return $"{unary.Operand}";
                break;
            case LiteralExpressionSyntax literal:
                if (literal.IsKind(SyntaxKind.TrueLiteralExpression))
                    yield return "false";
                else if (literal.IsKind(SyntaxKind.FalseLiteralExpression))
                    yield return "true";
                else if (literal.Token.Value is int number)
                    yield return (number + 1).ToString(CultureInfo.InvariantCulture);
                else if (literal.IsKind(SyntaxKind.NumericLiteralExpression))
                    yield return $"{literal} + 1";
                break;
            case ConditionalExpressionSyntax { WhenTrue: not ThrowExpressionSyntax, WhenFalse: not ThrowExpressionSyntax } conditional
                when !declares:
                yield return $"{conditional.Condition} ? {conditional.WhenFalse} : {conditional.WhenTrue}";
                break;
            case InvocationExpressionSyntax { Expression: MemberAccessExpressionSyntax member } call
                when _methods.TryGetValue(member.Name.Identifier.Text, out string? name) && !declares:
                yield return $"{member.Expression}.{name}{call.ArgumentList}";
                break;
            case ExpressionStatementSyntax { Expression: AssignmentExpressionSyntax assignment }
                when _assignments.TryGetValue(assignment.Kind(), out string? sign) && !declares:
                yield return $"{assignment.Left} {sign} {assignment.Right};";
                yield return "";
                break;
            case ExpressionStatementSyntax { Expression: PostfixUnaryExpressionSyntax step } when !declares:
                yield return $"{step.Operand}{(step.IsKind(SyntaxKind.PostIncrementExpression) ? "--" : "++")};";
                yield return "";
                break;
            case ExpressionStatementSyntax statement when !declares:
                yield return "";
                break;
        }

        if (node is ExpressionSyntax condition && !declares && node.Parent is IfStatementSyntax branch && branch.Condition == condition)
        {
            yield return $"!({condition})";
            yield return "false";
        }
    }
}
