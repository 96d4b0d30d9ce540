using System.Text;

namespace AttentionGpu.Bench.Peers;

/// <summary>Lines and tables in Markdown: printed as they come, and kept for <c>bench/RESULTS.md</c>.</summary>
internal sealed class ReportText
{
    private readonly StringBuilder _text = new();

    public void Line(string text)
    {
        Console.WriteLine(text);
        _text.Append(text).Append('\n');
    }

    public void Row(IEnumerable<string> cells, bool isHead = false)
    {
        string[] all = [.. cells];
        Line($"| {string.Join(" | ", all)} |");
        if (isHead)
            Line($"|{string.Concat(Enumerable.Repeat("---|", all.Length))}");
    }

    /// <summary>Writes the text into RESULTS.md, between the two marks of a report.</summary>
    /// <param name="folder">The folder of RESULTS.md.</param>
    /// <param name="report">The name of the report.</param>
    /// <exception cref="InvalidOperationException">The file does not have the marks.</exception>
    public void Save(string folder, string report)
    {
        string path = Path.Combine(folder, "RESULTS.md");
        string startMark = $"<!-- {report}: written by the command -->";
        string endMark = $"<!-- {report} end -->";
        string all = File.ReadAllText(path);
        int start = all.IndexOf(startMark, StringComparison.Ordinal);
        int end = all.IndexOf(endMark, StringComparison.Ordinal);
        if (start < 0 || end < start)
            throw new InvalidOperationException($"'{path}' does not have the marks '{startMark}' and '{endMark}'.");
        File.WriteAllText(path, $"{all[..start]}{startMark}\n\n{_text}\n{all[end..]}");
    }
}
