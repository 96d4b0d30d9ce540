using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>
/// Runs a problem by the operator's short calls, <c>ScaledDotProductAttention(query, key, value, ...)</c> and, where weights are asked for,
/// <c>ScaledDotProductAttentionWithWeights</c>, into poisoned outputs. They have causality, masks, grouped heads and a value head size.
/// </summary>
internal static class ShortCall
{
    private static readonly string[] _factors = ["causal", "mask", "grouped heads", "value head size", "few queries"];

    /// <summary>A random kind of problem that the call has.</summary>
    public static VariantKind DrawKind(Random random) => VariantKind.Draw(random, _factors);

    public static VariantResult Run(VariantCase problem, AttentionEngine engine)
    {
        bool averages = problem.Kind.Scores == ScoreStage.AverageWeights;
        bool weighs = averages || problem.Kind.Scores == ScoreStage.Weights;
        for (int factor = 0; factor < VariantKind.Factors.Count; factor++)
        {
            string name = VariantKind.Factors[factor].Name;
            bool has = _factors.Contains(name) || (weighs && name == "scores");
            Assert.True(has || problem.Kind.Choices[factor] == 0, $"The short calls do not have this: {problem.Kind}.");
        }

        Tensor<float> output = Data.Poisoned(problem.Batch, problem.Heads, problem.QueryLength, problem.ValueSize);
        var mask = new AttentionMask(problem.Mask, problem.Bias);
        if (!weighs)
        {
            engine.ScaledDotProductAttention<float>(problem.Query, problem.Key, problem.Value, output, problem.Options, mask);
            return new VariantResult(output, null, null, null, null);
        }

        Tensor<float> weights = averages
            ? Data.Poisoned(problem.Batch, problem.QueryLength, problem.KeyLength)
            : Data.Poisoned(problem.Batch, problem.Heads, problem.QueryLength, problem.KeyLength);
        engine.ScaledDotProductAttentionWithWeights<float>(
            problem.Query, problem.Key, problem.Value, output, weights, averages, problem.Options, mask);
        return new VariantResult(output, weights, null, null, null);
    }
}
