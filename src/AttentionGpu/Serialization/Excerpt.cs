namespace AttentionGpu.Serialization;

/// <summary>Text of a file as a message shows it: a file may have names of megabytes.</summary>
internal static class Excerpt
{
    private const int MaxLength = 100;

    /// <summary>The first 100 characters, and a mark where there are more.</summary>
    public static string Of(string text)
    {
        if (text.Length <= MaxLength)
            return text;
        int length = char.IsHighSurrogate(text[MaxLength - 1]) ? MaxLength - 1 : MaxLength;
        return $"{text.AsSpan(0, length)}…";
    }
}
