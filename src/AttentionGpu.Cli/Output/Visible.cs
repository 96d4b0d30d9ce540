using System.Buffers;
using System.Globalization;
using System.Text;

namespace AttentionGpu.Cli.Output;

/// <summary>
/// Text that a terminal shows as it is: characters that would be commands to it, or invisible, become <c>\u001b</c> and the like.
/// </summary>
internal static class Visible
{
    // They join letters and pictures in scripts and emoji, and do nothing else.
    private const int ZeroWidthNonJoiner = 0x200C;
    private const int ZeroWidthJoiner = 0x200D;

    /// <summary>
    /// The text with control characters (also C1, the second row of them), changes of direction and other formats, separators of lines
    /// and halves of surrogate pairs written as JSON writes them.
    /// </summary>
    public static string Text(string text)
    {
        var visible = new StringBuilder(text.Length);
        for (ReadOnlySpan<char> rest = text; !rest.IsEmpty;)
        {
            bool isWhole = Rune.DecodeFromUtf16(rest, out Rune rune, out int length) == OperationStatus.Done;
            if (isWhole && IsVisible(rune))
            {
                visible.Append(rest[..length]);
            }
            else
            {
                foreach (char unit in rest[..length])
                    visible.Append(CultureInfo.InvariantCulture, $"\\u{(int)unit:x4}");
            }

            rest = rest[length..];
        }

        return visible.ToString();
    }

    private static bool IsVisible(Rune rune) => rune.Value is ZeroWidthJoiner or ZeroWidthNonJoiner || Rune.GetUnicodeCategory(rune)
        is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}
