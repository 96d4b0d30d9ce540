using System.Globalization;
using AttentionGpu.Cli.Output;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace AttentionGpu.Cli.Demo;

/// <summary>The tables of <c>attention demo</c>: a row a word, a column a head.</summary>
internal static class DemoTables
{
    private const int ShownWords = 2;

    // A line left of each column and right of the last, and a space on both sides of each.
    private const int Border = 1;
    private const int ColumnBorder = 3;

    public static void Print(
        IReadOnlyList<Sentence> sentences, HeadWeights heads, DeviceSelection selection, string source, IReadOnlyList<string> files)
    {
        Screen screen = Screen.Output;
        screen.Lines($"Device: {selection.Device.Name} ({selection.Reason}).", source);
        for (int batch = 0; batch < sentences.Count; batch++)
        {
            Sentence sentence = sentences[batch];
            Print(screen, sentence, [.. Enumerable.Range(0, heads.Heads).Select(head => Column(sentence, heads, batch, head))]);
        }

        if (files.Count > 0)
            screen.Lines($"{files.Count} heat maps: {Path.GetDirectoryName(files[0])}");
    }

    // As many heads side by side as a line has room for, and the others in tables below.
    private static void Print(Screen screen, Sentence sentence, string[][] heads)
    {
        string[] words = ["word", .. sentence.Tokens.Select(token => token.Text)];
        for (int head = 0; head < heads.Length;)
        {
            Table table = new Table().Title(Screen.Cell(sentence.Text)).AddColumn(words[0]);
            List<string[]> columns = [words];
            int room = screen.Width - Border - Width(words);
            do
            {
                table.AddColumn(heads[head][0]);
                columns.Add(heads[head]);
                room -= Width(heads[head]);
                head++;
            }
            while (head < heads.Length && Width(heads[head]) <= room);
            for (int row = 1; row < words.Length; row++)
                table.AddRow([.. columns.Select(column => Screen.Cell(column[row]))]);
            screen.Table(table);
        }
    }

    // A head's title and, for each word, the words that it attends to most.
    private static string[] Column(Sentence sentence, HeadWeights heads, int batch, int head) =>
    [
        string.Create(CultureInfo.InvariantCulture, $"head {head} attends to"),
        .. Enumerable.Range(0, sentence.Tokens.Count).Select(query => string.Join(
            ", ",
            heads.Top(batch, head, query, ShownWords).Select(key => string.Create(
                CultureInfo.InvariantCulture, $"{sentence.Tokens[key.Position].Text} {key.Weight:F2}")))),
    ];

    private static int Width(string[] column) =>
        ColumnBorder + column.Max(text => new Segment(Visible.Text(text)).CellCount());
}
