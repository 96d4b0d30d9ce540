namespace AttentionGpu.Service;

/// <summary>What a client sent, as an error shows it.</summary>
internal static class Excerpt
{
    private const int MaxLength = 100;

    /// <summary>The first 100 characters, and a mark where there are more.</summary>
    public static string? Of(string? text) => Of(text, MaxLength);

    /// <summary>The first characters, and a mark where there are more.</summary>
    public static string? Of(string? text, int most)
    {
        if (text is null || text.Length <= most)
            return text;
        return $"{text.AsSpan(0, char.IsHighSurrogate(text[most - 1]) ? most - 1 : most)}…";
    }
}
