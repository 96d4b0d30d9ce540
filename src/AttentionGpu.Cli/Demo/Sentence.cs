using Microsoft.ML.Tokenizers;

namespace AttentionGpu.Cli.Demo;

/// <summary>A token: its number in the vocabulary and its text.</summary>
internal sealed record Token(int Id, string Text);

/// <summary>A line of text and its tokens.</summary>
internal sealed record Sentence(string Text, IReadOnlyList<Token> Tokens)
{
    /// <summary>The byte-pair encoding whose vocabulary is cut.</summary>
    public const string Encoding = "cl100k_base";

    /// <summary>Cuts each line that is not blank into tokens.</summary>
    public static IReadOnlyList<Sentence> Parse(IEnumerable<string> lines)
    {
        TiktokenTokenizer tokenizer = TiktokenTokenizer.CreateForEncoding(Encoding);
        return
        [
            .. lines.Select(line => line.Trim()).Where(line => line.Length > 0).Select(line => new Sentence(
                line,
                [.. tokenizer.EncodeToTokens(line, out _).Select(token => new Token(token.Id, token.Value.Trim()))])),
        ];
    }
}
