using System.Numerics.Tensors;
using CsCheck;

namespace AttentionGpu.Tests.Support;

/// <summary>How keys are hidden in a random problem.</summary>
public enum MaskForm
{
    None,
    Boolean,
    Additive,

    /// <summary>Additive, with many -inf, so that some rows see nothing.</summary>
    AdditiveWithInfinities,
}

/// <summary>The sizes of a random attention problem, and the seed of its numbers.</summary>
public sealed record AttentionSizes(
    int Batch, int KeyValueHeads, int Group, int QueryLength, int KeyLength, int HeadSize, int ValueHeadSize,
    Causal Causal, MaskForm Mask, int MaskRank, bool BroadcastQuery, float? Scale, int Seed)
{
    /// <summary>Random sizes that lie on, below and above tile borders.</summary>
    public static Gen<AttentionSizes> Gen { get; } =
        from batch in CsCheck.Gen.Int[1, 3]
        from keyValueHeads in CsCheck.Gen.Int[1, 3]
        from grouped in CsCheck.Gen.Int[1, 3]
        from queryLength in CsCheck.Gen.Int[1, 40]
        from keyLength in CsCheck.Gen.Int[1, 40]
        from headSize in CsCheck.Gen.OneOf(1, 3, 8, 16, 17, 32, 40)
        from valueHeadSize in CsCheck.Gen.OneOf(1, 5, 8, 16, 31, 32, 33, 64)
        from causal in CsCheck.Gen.Enum<Causal>()
        from mask in CsCheck.Gen.Enum<MaskForm>()
        from maskRank in CsCheck.Gen.Int[1, 4]
        from broadcastQuery in CsCheck.Gen.Bool
        from scale in CsCheck.Gen.OneOf<float?>(null, 0.25f, 1f, -0.5f)
        from seed in CsCheck.Gen.Int
        select new AttentionSizes(
            batch, keyValueHeads, grouped, queryLength, keyLength, headSize, valueHeadSize, causal, mask, maskRank, broadcastQuery, scale, seed);
}

/// <summary>An attention problem with its numbers.</summary>
internal sealed record AttentionCase(
    Tensor<float> Query, Tensor<float> Key, Tensor<float> Value, AttentionOptions Options)
{
    public Tensor<bool>? BooleanMask { get; init; }

    public Tensor<float>? AdditiveMask { get; init; }

    public nint[] OutputLengths => [Query.Lengths[0], Query.Lengths[1], Query.Lengths[2], Value.Lengths[3]];

    public nint[] WeightLengths => [Query.Lengths[0], Query.Lengths[1], Query.Lengths[2], Key.Lengths[2]];

    public static AttentionCase Create(AttentionSizes sizes)
    {
        var random = new Random(sizes.Seed);
        int heads = sizes.KeyValueHeads * sizes.Group;
        nint[] maskLengths =
            [.. new nint[] { sizes.Batch, 1, sizes.BroadcastQuery ? 1 : sizes.QueryLength, sizes.KeyLength }.TakeLast(sizes.MaskRank)];
        Tensor<float> bias = Data.Random(random, maskLengths);
        return new AttentionCase(
            Data.Random(random, sizes.Batch, heads, sizes.QueryLength, sizes.HeadSize),
            Data.Random(random, sizes.Batch, sizes.KeyValueHeads, sizes.KeyLength, sizes.HeadSize),
            Data.Random(random, sizes.Batch, sizes.KeyValueHeads, sizes.KeyLength, sizes.ValueHeadSize),
            new AttentionOptions { Causal = sizes.Causal, Scale = sizes.Scale })
        {
            BooleanMask = sizes.Mask == MaskForm.Boolean ? Data.RandomBoolean(random, 0.6, maskLengths) : null,
            AdditiveMask = sizes.Mask switch
            {
                MaskForm.Additive => bias,
                MaskForm.AdditiveWithInfinities => Tensor.Create(
                    Array.ConvertAll(Data.Flat(bias), value => value < 0.4f ? float.NegativeInfinity : value), maskLengths),
                _ => null,
            },
        };
    }

    /// <summary>The same with key 0 shown by a boolean mask: no row is empty.</summary>
    public AttentionCase WithFirstKeyVisible()
    {
        if (BooleanMask is null)
            return this;
        bool[] visible = Data.Flat(BooleanMask);
        for (int row = 0; row < visible.Length; row += (int)Key.Lengths[2])
            visible[row] = true;
        return this with { BooleanMask = Tensor.Create(visible, BooleanMask.Lengths) };
    }

    /// <summary>Runs on an engine, into poisoned outputs.</summary>
    public Tensor<float> Run(AttentionEngine engine)
    {
        Tensor<float> output = Data.Poisoned(OutputLengths);
        engine.ScaledDotProductAttention(
            Query.AsReadOnlyTensorSpan(), Key.AsReadOnlyTensorSpan(), Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(), Options, Mask());
        return output;
    }

    /// <summary>Runs on an engine, into poisoned outputs and weights.</summary>
    public (Tensor<float> Output, Tensor<float> Weights) RunWithWeights(AttentionEngine engine, bool averageHeads = false)
    {
        Tensor<float> output = Data.Poisoned(OutputLengths);
        Tensor<float> weights = Data.Poisoned(
            averageHeads ? [WeightLengths[0], WeightLengths[2], WeightLengths[3]] : WeightLengths);
        engine.ScaledDotProductAttentionWithWeights(
            Query.AsReadOnlyTensorSpan(), Key.AsReadOnlyTensorSpan(), Value.AsReadOnlyTensorSpan(), output.AsTensorSpan(),
            weights.AsTensorSpan(), averageHeads, Options, Mask());
        return (output, weights);
    }

    private AttentionMask Mask() =>
        BooleanMask is not null ? new AttentionMask(BooleanMask.AsReadOnlyTensorSpan())
        : AdditiveMask is not null ? new AttentionMask(AdditiveMask.AsReadOnlyTensorSpan())
        : default;
}
