namespace AttentionGpu.Service.Guards;

/// <summary>Texts of clients in messages.</summary>
internal static class Short
{
    private const int Most = 100;

    /// <summary>A text, cut where it is long: an answer does not repeat what was sent.</summary>
    public static string Text(string text) => text.Length <= Most ? text : $"{text[..Most]}...";
}
