using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Demo;

/// <summary>The attention weights [batch, heads, length, length] of sentences of different lengths.</summary>
internal sealed class HeadWeights(Tensor<float> weights, IReadOnlyList<Sentence> sentences)
{
    /// <summary>The number of heads.</summary>
    public int Heads => (int)weights.Lengths[1];

    /// <summary>The positions that a query attends to most.</summary>
    public IEnumerable<(int Position, float Weight)> Top(int batch, int head, int query, int count) =>
        Enumerable.Range(0, sentences[batch].Tokens.Count)
            .Select(key => (key, weights[batch, head, query, key]))
            .OrderByDescending(pair => pair.Item2)
            .Take(count);

    /// <summary>One head's weights, a row a query.</summary>
    public float[][] Rows(int batch, int head)
    {
        int length = sentences[batch].Tokens.Count;
        return
        [
            .. Enumerable.Range(0, length).Select(query =>
                Enumerable.Range(0, length).Select(key => weights[batch, head, query, key]).ToArray()),
        ];
    }

    /// <summary>The file of a heat map.</summary>
    public static string PictureFile(string folder, int batch, int head) =>
        Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"sentence{batch}-head{head}.png"));

    /// <summary>Writes a heat map for each sentence and head.</summary>
    /// <returns>The files.</returns>
    /// <exception cref="OutputException">One cannot be written.</exception>
    public IReadOnlyList<string> SavePictures(string folder)
    {
        OutputFile.MakeFolder(folder);
        List<string> files = [];
        for (int batch = 0; batch < sentences.Count; batch++)
        {
            string[] words = [.. sentences[batch].Tokens.Select(token => token.Text)];
            for (int head = 0; head < Heads; head++)
            {
                float[][] rows = Rows(batch, head);
                var cells = new double[words.Length, words.Length];
                for (int query = 0; query < words.Length; query++)
                {
                    for (int key = 0; key < words.Length; key++)
                        cells[query, key] = rows[query][key];
                }

                string file = PictureFile(folder, batch, head);
                byte[] picture = HeatMap.Draw(string.Create(CultureInfo.InvariantCulture, $"sentence {batch}, head {head}"), cells, words);
                OutputFile.Write(file, stream => stream.Write(picture));
                files.Add(file);
            }
        }

        return files;
    }
}
