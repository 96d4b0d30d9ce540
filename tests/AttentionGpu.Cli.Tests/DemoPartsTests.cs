using System.Numerics.Tensors;
using AttentionGpu.Cli.Demo;
using AttentionGpu.Tests.Support;
using SkiaSharp;

namespace AttentionGpu.Cli.Tests;

/// <summary>The parts of <c>attention demo</c>.</summary>
public class DemoPartsTests
{
    private const int PixelsBesideTheCells = 220;
    private const int CellPixels = 44;

    [Fact]
    public void Lines_are_trimmed_and_cut_into_words_and_blank_lines_are_left_out()
    {
        IReadOnlyList<Sentence> sentences = Sentence.Parse(["  One two three.\r", "", " \t", "two One"]);
        Assert.Equal(["One two three.", "two One"], sentences.Select(sentence => sentence.Text));
        Assert.Equal(["One", "two", "three", "."], sentences[0].Tokens.Select(token => token.Text));
        Assert.Equal(["two", "One"], sentences[1].Tokens.Select(token => token.Text));

        // The numbers of cl100k_base: a word behind a space is another token.
        Assert.Equal([4054, 1403, 2380, 13], sentences[0].Tokens.Select(token => token.Id));
        Assert.Equal([20375, 3861], sentences[1].Tokens.Select(token => token.Id));
    }

    [Fact]
    public void An_embedding_is_the_vector_of_the_token_and_the_sinusoids_of_the_position()
    {
        Tensor<float> embedding = TokenEmbedding.Embed([Tokens(5, 6, 5), Tokens(5)], 4, seed: 1);
        Assert.Equal([2, 3, 4], embedding.Lengths.ToArray());
        float[] all = Data.Flat(embedding);

        // The same token two positions later: sine and cosine of 2, then of 2 / 100.
        double[] moved = [Math.Sin(2.0), Math.Cos(2.0) - 1.0, Math.Sin(0.02), Math.Cos(0.02) - 1.0];
        for (int i = 0; i < 4; i++)
            Assert.Equal(moved[i], all[8 + i] - all[i], 1e-6);

        // The second sentence begins with the same token, and ends behind it.
        Assert.Equal(all[..4], all[12..16]);
        Assert.Equal(new float[8], all[16..]);
    }

    [Fact]
    public void Embeddings_are_the_same_on_every_run_and_others_with_another_seed_or_token()
    {
        float[] Embed(int token, int seed) => Data.Flat(TokenEmbedding.Embed([Tokens(token)], 4, seed));
        float[] first = [1.357234f, -0.345150739f, 0.0356933847f, 0.815318644f];
        Assert.Equal(first, Embed(1, 1), (expected, actual) => Math.Abs(expected - actual) < 1e-6f);
        Assert.NotEqual(Embed(1, 1), Embed(1, 2));
        Assert.NotEqual(Embed(1, 1), Embed(2, 1));
        Assert.NotEqual(Embed(1, 2), Embed(2, 1));
    }

    [Fact]
    public void The_vectors_of_tokens_have_mean_0_and_variance_1()
    {
        const int size = 64;
        float[] all = Data.Flat(TokenEmbedding.Embed([.. Enumerable.Range(0, 128).Select(token => Tokens(token))], size, seed: 1));

        // At position 0 every other element has the cosine of 0.
        double[] numbers = [.. all.Select((number, index) => number - (double)(index % 2))];
        double mean = numbers.Average();
        Assert.Equal(0.0, mean, 0.05);
        Assert.Equal(1.0, numbers.Average(number => (number - mean) * (number - mean)), 0.05);
    }

    [Fact]
    public void The_top_positions_are_those_with_the_largest_weights_in_that_order()
    {
        HeadWeights heads = Heads();
        Assert.Equal(2, heads.Heads);
        Assert.Equal([(2, 0.6f), (0, 0.3f)], heads.Top(0, 0, 0, 2));
        Assert.Equal([(1, 0.7f)], heads.Top(0, 0, 1, 1));
        Assert.Equal([(0, 0.9f), (2, 0.06f), (1, 0.04f)], heads.Top(0, 1, 2, 9));

        // The second sentence has two tokens: the third column is padding.
        Assert.Equal([(1, 0.8f), (0, 0.2f)], heads.Top(1, 1, 1, 3));
    }

    [Fact]
    public void Rows_are_queries_and_end_with_the_sentence()
    {
        HeadWeights heads = Heads();
        Assert.Equal([[0.3f, 0.1f, 0.6f], [0.2f, 0.7f, 0.1f], [0.4f, 0.35f, 0.25f]], heads.Rows(0, 0));
        Assert.Equal([[0.55f, 0.45f], [0.2f, 0.8f]], heads.Rows(1, 1));
    }

    [Fact]
    public void There_is_a_picture_for_each_sentence_and_head()
    {
        using var folder = new TemporaryFolder();
        IReadOnlyList<string> files = Heads().SavePictures(folder["new/maps"]);
        string[] names = ["sentence0-head0.png", "sentence0-head1.png", "sentence1-head0.png", "sentence1-head1.png"];
        Assert.Equal(names.Select(name => Path.Combine(folder["new/maps"], name)), files);
        Assert.Equal(files, Directory.GetFiles(folder["new/maps"]).Order());
        int[] words = [3, 3, 2, 2];
        for (int i = 0; i < files.Count; i++)
        {
            using SKBitmap picture = SKBitmap.Decode(files[i]);
            int side = PixelsBesideTheCells + (CellPixels * words[i]);
            Assert.Equal((side, side), (picture.Width, picture.Height));
        }
    }

    [Fact]
    public void A_heat_map_has_queries_from_top_to_bottom_and_keys_from_left_to_right()
    {
        (int Left, int Top) Brightest(int query, int key)
        {
            var weights = new double[3, 3];
            weights[query, key] = 0.5;
            using SKBitmap picture = SKBitmap.Decode(HeatMap.Draw("title", weights, ["a", "b", "c"]));

            // Viridis ends in this yellow; the legend at the right has a few pixels of it, so that the middle one of all is in the cell.
            (int X, int Y)[] yellow =
            [
                .. from y in Enumerable.Range(0, picture.Height)
                   from x in Enumerable.Range(0, picture.Width)
                   let pixel = picture.GetPixel(x, y)
                   where pixel.Red > 240 && pixel.Green > 220 && pixel.Blue < 60
                   select (x, y),
            ];
            Assert.InRange(yellow.Length, 100, picture.Width * picture.Height / 4);
            return (Median(yellow.Select(point => point.X)), Median(yellow.Select(point => point.Y)));
        }

        int Median(IEnumerable<int> numbers) => numbers.Order().ElementAt(numbers.Count() / 2);
        (int Left, int Top) first = Brightest(0, 0);
        (int Left, int Top) right = Brightest(0, 2);
        (int Left, int Top) below = Brightest(2, 0);
        Assert.True(right.Left > first.Left + 20, $"{first}, {right}");
        Assert.Equal(first.Top, right.Top);
        Assert.True(below.Top > first.Top + 20, $"{first}, {below}");
        Assert.Equal(first.Left, below.Left);
    }

    private static HeadWeights Heads() => new(
        Tensor.Create(
            [
                0.3f, 0.1f, 0.6f, 0.2f, 0.7f, 0.1f, 0.4f, 0.35f, 0.25f,
                0.5f, 0.25f, 0.25f, 0.1f, 0.2f, 0.7f, 0.9f, 0.04f, 0.06f,
                0.15f, 0.85f, 9f, 0.95f, 0.05f, 9f, 9f, 9f, 9f,
                0.55f, 0.45f, 9f, 0.2f, 0.8f, 9f, 9f, 9f, 9f,
            ],
            [2, 2, 3, 3]),
        [Tokens(1, 2, 3), Tokens(4, 5)]);

    private static Sentence Tokens(params int[] ids) => new("text", [.. ids.Select(id => new Token(id, $"t{id}"))]);
}
