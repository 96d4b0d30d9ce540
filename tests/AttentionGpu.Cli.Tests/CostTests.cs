using AttentionGpu.Cli.Bench;
using AttentionGpu.Cli.Output;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Cli.Tests;

/// <summary>Operations and bytes, counted by hand: two operations a multiply-add, four bytes an element.</summary>
public class CostTests
{
    [Theory]
    [InlineData(Causal.None, 5, 7, 35)]
    [InlineData(Causal.TopLeft, 5, 5, 15)]
    [InlineData(Causal.TopLeft, 5, 7, 15)]
    [InlineData(Causal.TopLeft, 5, 3, 1 + 2 + 3 + 3 + 3)]
    [InlineData(Causal.TopLeft, 1, 7, 1)]
    [InlineData(Causal.TopLeft, 5, 0, 0)]
    [InlineData(Causal.BottomRight, 5, 5, 15)]
    [InlineData(Causal.BottomRight, 5, 7, 3 + 4 + 5 + 6 + 7)]
    [InlineData(Causal.BottomRight, 5, 3, 0 + 0 + 1 + 2 + 3)]
    [InlineData(Causal.BottomRight, 1, 7, 7)]
    [InlineData(Causal.BottomRight, 5, 0, 0)]
    public void A_pair_counts_where_the_query_sees_the_key(Causal causal, int queries, int keys, long pairs) =>
        Assert.Equal(pairs, VisiblePairs.Count(causal, queries, keys));

    [Theory]
    [InlineData(Causal.None, 1, 0, QueryAlignment.TopLeft)]
    [InlineData(Causal.None, 1, null, QueryAlignment.TopLeft)]
    [InlineData(Causal.None, null, 2, QueryAlignment.BottomRight)]
    [InlineData(Causal.TopLeft, 2, null, QueryAlignment.TopLeft)]
    [InlineData(Causal.BottomRight, 2, null, QueryAlignment.BottomRight)]
    [InlineData(Causal.BottomRight, 3, 1, QueryAlignment.TopLeft)]
    public void A_window_leaves_the_pairs_that_it_has(Causal causal, int? left, int? right, QueryAlignment alignment)
    {
        foreach ((int queries, int keys) in new[] { (5, 7), (7, 5), (1, 4), (4, 4), (3, 0) })
        {
            // Pair by pair, from the rules.
            int position = alignment == QueryAlignment.BottomRight ? keys - queries : 0;
            long pairs = (
                from query in Enumerable.Range(0, queries)
                from key in Enumerable.Range(0, keys)
                where key >= query + position - (left ?? keys + queries) && key <= query + position + (right ?? keys + queries)
                    && (causal == Causal.None || key <= query + (causal == Causal.BottomRight ? keys - queries : 0))
                select key).Count();
            var window = new AttentionWindow { Left = left, Right = right, Alignment = alignment };
            Assert.Equal(pairs, VisiblePairs.Count(causal, queries, keys, window));
        }
    }

    [Theory]

    // Query and output: 2 x 3 x 5 x 7 = 210 elements each; key and value as many. Pairs: 2 x 3 x 5 x 5 = 150, of 7 multiply-adds, twice.
    [InlineData(null, null, false, 2.0 * 150 * 7 * 2, 4 * 4 * 210)]

    // One key/value head of 11 keys: 2 x 1 x 11 x 7 = 154 elements. Pairs: 2 x 3 x 5 x 11 = 330.
    [InlineData(1, 11, false, 2.0 * 330 * 7 * 2, 4 * ((2 * 210) + (2 * 154)))]

    // Visible pairs a head: 1 + 2 + 3 + 4 + 5 = 15.
    [InlineData(null, null, true, 2.0 * 6 * 15 * 7 * 2, 4 * 4 * 210)]

    // The last query sees all of 11 keys: 7 + 8 + 9 + 10 + 11 = 45. Key and value: 2 x 3 x 11 x 7 = 462 elements.
    [InlineData(null, 11, true, 2.0 * 6 * 45 * 7 * 2, 4 * ((2 * 210) + (2 * 462)))]

    // Of three keys, the first two queries see none: 0 + 0 + 1 + 2 + 3 = 6. Key and value: 2 x 3 x 3 x 7 = 126 elements.
    [InlineData(null, 3, true, 2.0 * 6 * 6 * 7 * 2, 4 * ((2 * 210) + (2 * 126)))]
    public void Attention_counts_visible_pairs_and_each_tensor_once(
        int? keyValueHeads, int? keyLength, bool causal, double operations, double bytes)
    {
        var problem = BenchProblem.Attention(Engines.Reference, [2, 3, 5, 7], keyValueHeads, keyLength, causal);
        Assert.Equal((operations, bytes), (problem.Operations, problem.Bytes));
    }

    [Fact]
    public void A_linear_layer_counts_its_products_and_each_matrix_once()
    {
        var problem = BenchProblem.Linear(Engines.Reference, [9, 7, 5]);
        Assert.Equal((2.0 * 315, 4.0 * (45 + 35 + 63)), (problem.Operations, problem.Bytes));
    }

    [Theory]

    // Parameters: 4 x 12 x 12 = 576. Projections: 2 x 5 tokens x 576; attention: 2 x 3 heads x 25 pairs x 4 x 2. Tensors: 3 of 2 x 5 x 12
    // = 120.
    [InlineData(null, false, 2.0 * (5760 + 1200), 4 * (576 + 360))]

    // A third of the key and value rows: 2 x 12 x 12 + 2 x 4 x 12 = 384.
    [InlineData(1, false, 2.0 * (3840 + 1200), 4 * (384 + 360))]

    // Visible pairs: 1 + 2 + 3 + 4 + 5 = 15 of 25; attention: 2 x 3 x 15 x 4 x 2 = 720.
    [InlineData(null, true, 2.0 * (5760 + 720), 4 * (576 + 360))]
    public void A_layer_counts_projections_attention_and_parameters(int? keyValueHeads, bool causal, double operations, double bytes)
    {
        var problem = BenchProblem.Layer(Engines.Reference, [2, 5, 12, 3], keyValueHeads, causal);
        Assert.Equal((operations, bytes), (problem.Operations, problem.Bytes));
    }

    [Theory]

    // Query and output projections: 2 x 5 x 12 x 12 x 2 = 2880; keys and values of 7 tokens: 2 x 7 x 12 x (12 + 12) = 4032.
    // Attention: 2 x 3 x 5 x 7 pairs x 4 x 2 = 1680. Parameters: 576. Tensors: 2 x 5 x 12 twice, 2 x 7 x 12 once; weights: 2 x 3 x 5 x 7 =
    // 210.
    [InlineData(null, null, null, Causal.None, false, 2.0 * (2880 + 4032 + 1680), 4 * (576 + 240 + 168))]
    [InlineData(null, null, null, Causal.None, true, 2.0 * (2880 + 4032 + 1680), 4 * (576 + 240 + 168 + 210))]

    // Visible pairs: 15 of 35 from the top left, 3 + 4 + 5 + 6 + 7 = 25 from the bottom right; attention: 2 x 3 x 4 x 2 times as much.
    [InlineData(null, null, null, Causal.TopLeft, false, 2.0 * (2880 + 4032 + 720), 4 * (576 + 240 + 168))]
    [InlineData(null, null, null, Causal.BottomRight, false, 2.0 * (2880 + 4032 + 1200), 4 * (576 + 240 + 168))]

    // One key/value head: keys and values 2 x 7 x 4 x 24 = 1344; parameters 2 x 12 x 12 + 4 x 24 = 384.
    [InlineData(1, null, null, Causal.None, false, 2.0 * (2880 + 1344 + 1680), 4 * (384 + 240 + 168))]

    // Keys of 6 and values of 10: 2 x 7 x 12 x 16 = 2688; parameters 288 + 12 x 16 = 480; the context is the keys': 2 x 7 x 6 = 84.
    [InlineData(null, 6, 10, Causal.None, false, 2.0 * (2880 + 2688 + 1680), 4 * (480 + 240 + 84))]
    public void A_call_of_a_layer_counts_its_context_and_weights(
        int? keyValueHeads, int? keySize, int? valueSize, Causal causal, bool weights, double operations, long bytes)
    {
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = 12,
            Heads = 3,
            KeyValueHeads = keyValueHeads,
            KeySize = keySize,
            ValueSize = valueSize,
        };
        Assert.Equal(new LayerCost(operations, bytes), LayerCost.Of(config, [(5, 7), (5, 7)], causal, weights));
    }

    [Fact]
    public void A_head_size_of_its_own_counts_in_the_projections()
    {
        // Projections: 2 x (5 x 12 x 15 x 2 + 7 x 15 x 24); attention: 2 x 3 x 35 x 5 x 2; parameters: 4 x 15 x 12.
        var config = new MultiHeadAttentionConfig { EmbeddingSize = 12, Heads = 3, HeadSize = 5 };
        Assert.Equal(
            new LayerCost(2.0 * (3600 + 5040 + 2100), 4 * (720 + 240 + 168)),
            LayerCost.Of(config, [(5, 7), (5, 7)], Causal.None, needWeights: false));
    }
}
