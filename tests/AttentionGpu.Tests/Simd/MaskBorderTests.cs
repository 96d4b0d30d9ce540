using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Simd;

/// <summary>Masks from memory: how they are laid out, and what of them a block can leave out.</summary>
public class MaskBorderTests
{
    /// <summary>Key counts around the 16 that masks are read by, and the 16 that few queries take a step.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(20)]
    public void Masks_around_vectors_agree_with_the_reference(int queries)
    {
        using var runs = new SimdRuns(threads: 1);
        string[] choices =
            ["boolean mask", "additive mask", "additive mask with -inf", "boolean and additive mask", "documents", "key lengths"];
        foreach (int keys in new[] { 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49 })
        {
            foreach (string choice in choices)
                runs.AssertAgree(Create(queries, keys, choice), $"{queries} queries, {keys} keys");
        }
    }

    /// <summary>An axis of 1 is repeated: the same for all keys, for all queries, for all heads, for all batch entries.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(20)]
    public void Masks_with_an_axis_of_one_agree_with_the_reference(int queries)
    {
        const int keys = 37;
        using var runs = new SimdRuns(threads: 1);
        var random = new Random(queries);
        for (int axes = 0; axes < 16; axes++)
        {
            nint[] lengths = [(axes & 1) == 0 ? 2 : 1, (axes & 2) == 0 ? 2 : 1, (axes & 4) == 0 ? queries : 1, (axes & 8) == 0 ? keys : 1];
            Tensor<bool> visible = Data.RandomBoolean(random, 0.6, lengths);
            float[] bias = Data.Flat(Data.Random(random, lengths));
            bias = Array.ConvertAll(bias, value => value < -0.5f ? float.NegativeInfinity : value);
            VariantCase problem = Create(queries, keys, "boolean and additive mask");
            string context = $"mask of {string.Join(" x ", lengths)}";
            runs.AssertAgree(problem with { Mask = visible, Bias = null }, context);
            runs.AssertAgree(problem with { Mask = null, Bias = Tensor.Create(bias, lengths) }, context);
            runs.AssertAgree(problem with { Mask = visible, Bias = Tensor.Create(bias, lengths) }, context);
        }
    }

    /// <summary>Whole blocks that a mask hides, shows, or hides but for one row: what a block leaves out must not be needed.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(20)]
    public void Blocks_that_are_all_hidden_or_all_shown_agree_with_the_reference(int queries)
    {
        const int keys = 450;
        using var runs = new SimdRuns(threads: 1);
        foreach (int different in new[] { -1, 0, 1, queries - 1 })
        {
            // Keys 0 to 199 are hidden and the others shown; for one row it is the other way round.
            var visible = new bool[queries * keys];
            var bias = new float[queries * keys];
            for (int i = 0; i < visible.Length; i++)
            {
                visible[i] = i % keys >= 200 != (i / keys == different);
                bias[i] = visible[i] ? 0f : float.NegativeInfinity;
            }

            VariantCase problem = Create(queries, keys, "boolean and additive mask", heads: 1);
            runs.AssertAgree(problem with { Mask = Tensor.Create(visible, [queries, keys]), Bias = null }, $"boolean, row {different}");
            runs.AssertAgree(problem with { Mask = null, Bias = Tensor.Create(bias, [queries, keys]) }, $"additive, row {different}");
            runs.AssertAgree(
                problem with { Mask = Tensor.Create(new bool[keys], [1, keys]), Bias = Tensor.Create(bias, [queries, keys]) },
                "all hidden");
        }
    }

    /// <summary>Documents whose borders lie on and beside the blocks', for queries and keys apart.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(20)]
    [InlineData(70)]
    public void Documents_around_blocks_agree_with_the_reference(int queries)
    {
        using var runs = new SimdRuns(threads: 1);
        foreach (int firstOfQueries in new[] { 0, 1, Math.Min(queries - 1, 16), queries })
        {
            foreach (int firstOfKeys in new[] { 0, 1, 200, 400 })
            {
                int[] ofQueries = [.. Enumerable.Range(0, queries).Select(i => i < firstOfQueries ? 1 : 2)];
                int[] ofKeys = [.. Enumerable.Range(0, 400).Select(i => i < firstOfKeys ? 1 : 2)];
                runs.AssertAgree(
                    Create(queries, 400, "documents", heads: 1) with
                    {
                        QueryDocuments = Tensor.Create(ofQueries, [1, queries]),
                        KeyDocuments = Tensor.Create(ofKeys, [1, 400]),
                    },
                    $"documents from {firstOfQueries} and {firstOfKeys}");
            }
        }
    }

    /// <summary>A hidden key is hidden whatever its score: infinite, or not a number.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(20)]
    public void Scores_of_hidden_keys_do_not_matter(int queries)
    {
        const int keys = 50;
        using var runs = new SimdRuns(threads: 1);
        bool[] visible = [.. Enumerable.Range(0, keys).Select(key => key % 3 != 0)];
        float[] bias = Array.ConvertAll(visible, isVisible => isVisible ? 0.5f : float.NegativeInfinity);
        foreach (float score in new[] { float.NaN, float.PositiveInfinity })
        {
            VariantCase problem = Create(queries, keys, "boolean and additive mask", heads: 1);
            for (int key = 0; key < keys; key += 3)
                problem.Key.AsTensorSpan()[.., .., key..(key + 1), ..].Fill(score);
            runs.AssertAgree(problem with { Mask = Tensor.Create(visible, [1, keys]), Bias = null }, $"boolean, {score}");
            runs.AssertAgree(problem with { Mask = null, Bias = Tensor.Create(bias, [1, keys]) }, $"additive, {score}");
            var rows = new float[queries * keys];
            for (int query = 0; query < queries; query++)
                bias.CopyTo(rows, query * keys);
            runs.AssertAgree(problem with { Mask = null, Bias = Tensor.Create(rows, [queries, keys]) }, $"additive by row, {score}");
        }
    }

    /// <summary>Padding, which only a layer has: none, some, a whole block, all.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(40)]
    public void Key_padding_agrees_with_the_reference(int queries)
    {
        const int keys = 410;
        foreach (Causal causal in new[] { Causal.None, Causal.BottomRight })
        {
            var sizes = new LayerSizes(4, 1, 2, 5, queries, keys, true, false, true, false, 3);
            LayerCase layer = LayerCase.Create(sizes) with { Causal = causal };
            bool[] padding = new bool[4 * keys];
            padding.AsSpan(keys, 205).Fill(true);
            padding.AsSpan(2 * keys, keys).Fill(true);
            for (int key = 0; key < keys; key += 3)
                padding[3 * keys + key] = true;
            Tensor<float> expected = Run(layer, padding, Engines.Reference);
            foreach (int width in SimdRuns.Widths)
            {
                using var engine = new AttentionEngine(new SimdBackend(width, threads: 1));
                Close.Assert(expected, Run(layer, padding, engine), $"{width} bits, {queries} queries, {causal}");
            }
        }
    }

    private static Tensor<float> Run(LayerCase layer, bool[] padding, AttentionEngine engine)
    {
        using var attention = new MultiHeadAttention<float>(engine, layer.Config, layer.Weights);
        Tensor<float> output = Data.Poisoned(layer.Query.Lengths);
        attention.Forward(
            layer.Query.AsReadOnlyTensorSpan(), layer.Key.AsReadOnlyTensorSpan(), layer.Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            layer.Causal, keyPaddingMask: new ReadOnlyTensorSpan<bool>(padding, [layer.Key.Lengths[0], layer.Key.Lengths[1]]));
        return output;
    }

    private static VariantCase Create(int queries, int keys, string choice, int heads = 2) => VariantCase.Create(
        VariantKind.With(choice, "log-sum-exp", "sinks"), new Random(keys), new VariantSizes(heads, heads, 1, 3, 5, [queries], [keys]));
}
