using System.Reflection;

namespace AttentionGpu.Cli.Demo;

/// <summary>The text of <c>attention demo</c>: a sentence a line.</summary>
internal static class DemoText
{
    // More tokens in a line make no readable table, and a picture of hundreds of megapixels.
    private const int MaxTokens = 128;

    // Hundreds of times the tokens, and few enough for the tokenizer, whose time grows with the square of a word's length.
    private const int MaxCharacters = 4000;

    // Bounds the weights of all heads, which are in memory together.
    private const int MaxSentences = 100;

    private const int MaxTextCharacters = 1 << 22;

    /// <summary>Reads and cuts a text.</summary>
    /// <param name="path">The file; null for sentences of our own.</param>
    /// <exception cref="InvalidDataException">It has no sentence, too many, or one that is too long.</exception>
    public static IReadOnlyList<Sentence> Read(string? path)
    {
        using Stream stream = path is null
            ? Assembly.GetExecutingAssembly().GetManifestResourceStream("sentences.txt")!
            : File.OpenRead(path);
        using var reader = new StreamReader(stream);

        // Read no further than needed to refuse it: a device may have no end.
        var text = new char[MaxTextCharacters + 1];
        int length = reader.ReadBlock(text);
        string[] lines = new string(text, 0, length).Split('\n', StringSplitOptions.TrimEntries);
        int tooLong = Array.FindIndex(lines, line => line.Length > MaxCharacters);
        if (tooLong >= 0)
        {
            throw new InvalidDataException(
                $"Line {tooLong + 1} of '{path}' has more than {MaxCharacters} characters, the most that a sentence, or a word, can have.");
        }

        if (length > MaxTextCharacters)
            throw new InvalidDataException($"'{path}' has more than {MaxTextCharacters} characters; a text can have no more.");
        int count = lines.Count(line => line.Length > 0);
        if (count == 0)
            throw new InvalidDataException($"'{path}' holds no text.");
        if (count > MaxSentences)
            throw new InvalidDataException($"'{path}' has {count} sentences, one a line; at most {MaxSentences} can be shown.");
        IReadOnlyList<Sentence> sentences = Sentence.Parse(lines);
        return sentences.FirstOrDefault(sentence => sentence.Tokens.Count > MaxTokens) is { } tooMany
            ? throw new InvalidDataException($"A line of '{path}' has {tooMany.Tokens.Count} tokens; at most {MaxTokens} can be shown.")
            : sentences;
    }
}
