using System.Numerics.Tensors;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// What masks from memory cost against plain attention of the same sizes, for each way in which a mask can be repeated or mixed.
/// </summary>
/// <remarks>
/// Predicted from operations: a vector of 16 scores costs 134 cycles. A mask of its own for each score is read (4 operations), transposed
/// (6) and added (6), about 16 cycles with the loads that miss L1. A mask that is the same for each query is added only. What is hidden in
/// whole blocks is left out.
/// </remarks>
internal sealed class MaskCosts(AttentionEngine engine, int heads, int length)
{
    private const int Size = 64;

    // No block of queries or keys is a multiple: each is mixed.
    private const int Period = 7;

    public IEnumerable<VariantCost> All
    {
        get
        {
            nint[] lengths = [1, heads, length, Size];
            Tensor<float> Random(int seed) => Tensor.Create(Inputs.Random((long)heads * length * Size, seed), lengths);
            (Tensor<float> query, Tensor<float> key, Tensor<float> value) = (Random(1), Random(2), Random(3));
            Tensor<float> output = Tensor.CreateFromShape<float>(lengths);
            void Run(AttentionMask mask, Tensor<int>? documents = null, Tensor<bool>? padding = null) =>
                engine.ScaledDotProductAttention<float>(
                    new AttentionInputs<float>
                    {
                        Query = query,
                        Key = key,
                        Value = value,
                        Mask = mask,
                        QueryDocuments = documents is null ? default : documents.AsReadOnlyTensorSpan(),
                        KeyPaddingMask = padding,
                    },
                    new AttentionOutputs<float> { Output = output });

            VariantCost Cost(string name, double predicted, Action variant) =>
                new($"{name}, 1,{heads},{length},{Size}", predicted, () => Run(default), variant);
            float[] random = Inputs.Random((long)length * length, 4);
            Tensor<bool> full = Tensor.Create(Array.ConvertAll(random, x => x > 0f), [length, length]);
            Tensor<float> bias = Tensor.Create(random, [length, length]);
            Tensor<float> hiding = Tensor.Create(Array.ConvertAll(random, x => x > 0f ? x : float.NegativeInfinity), [length, length]);
            Tensor<float> biasOfQueries = Tensor.Create(random[..length], [length, 1]);
            Tensor<float> biasOfKeys = Tensor.Create(random[..length], [1, length]);
            bool[] some = [.. Enumerable.Range(0, length).Select(i => i % Period != 0)];
            Tensor<bool> ofQueries = Tensor.Create(some, [length, 1]);
            Tensor<bool> ofKeys = Tensor.Create(some, [1, length]);
            Tensor<int> mixed = Tensor.Create(Enumerable.Range(0, length).Select(i => i % Period).ToArray(), [1, length]);
            Tensor<bool> padding = Tensor.Create(some, [1, length]);
            yield return Cost("boolean mask", 1.15, () => Run(full));
            yield return Cost("boolean mask along the queries", 1.1, () => Run(ofQueries));
            yield return Cost("boolean mask along the keys", 1.05, () => Run(ofKeys));
            yield return Cost("additive mask", 1.15, () => Run(bias));
            yield return Cost("additive mask with -inf", 1.15, () => Run(hiding));
            yield return Cost("additive mask along the queries", 1.1, () => Run(biasOfQueries));
            yield return Cost("additive mask along the keys", 1.05, () => Run(biasOfKeys));
            yield return Cost("mixed documents", 1.15, () => Run(default, mixed));
            yield return Cost("padding keys", 1.05, () => Run(default, padding: padding));
            yield return Cost("boolean and additive mask", 1.2, () => Run(new(full, bias)));
        }
    }
}
