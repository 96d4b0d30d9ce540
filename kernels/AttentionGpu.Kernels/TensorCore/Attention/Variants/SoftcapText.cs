using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Ptx;

namespace AttentionGpu.Kernels.TensorCore.Attention.Variants;

/// <summary>What a <see cref="SoftcapText"/> needs at a launch.</summary>
public struct SoftcapArguments
{
    /// <summary>The cap; more than 0.</summary>
    public float Cap;
}

/// <summary>
/// <see cref="Softcap"/> by one exponential and one reciprocal: <c>cap * tanh(x) = cap - 2 cap / (1 + e^2x)</c>. Five instructions a score.
/// </summary>
/// <param name="isExact">
/// Whether scores near 0 have all their digits; else a capped score is wrong by up to 2^-22 of the cap. Seven instructions more.
/// </param>
public sealed class SoftcapText(bool isExact) : ScoreText
{
    /// <summary>The largest cap whose scores are exact enough otherwise: their error is less than 2^-13.</summary>
    public const float LargestCap = 256f;

    private const float Log2E = 1.44269504f;
    private const float Small = 0.625f;

    private Real _cap;
    private Real _twice;
    private Real _scale;

    /// <inheritdoc/>
    public override void Start(ScorePlace place)
    {
        PtxText e = place.E;
        _cap = e.Parameter<SoftcapArguments>().Load((ref SoftcapArguments a) => ref a.Cap);
        _twice = e.Multiply(_cap, -2f);
        Real ratio = e.Multiply(place.Scale, e.Reciprocal(_cap));
        _scale = isExact ? ratio : e.Multiply(ratio, 2f * Log2E);
    }

    /// <inheritdoc/>
    public override void Change(ScorePlace place, Score score)
    {
        PtxText e = place.E;
        score.ScaleBy(_scale);
        Real power = isExact ? e.Multiply(score.Value, 2f * Log2E) : score.Value;
        Real share = e.FastReciprocal(e.Add(e.Power2(power), 1f));
        if (!isExact)
        {
            e.MultiplyAdd(share, _twice, _cap, score.Value);
            return;
        }

        // The polynomial of Softcap.Tanh.
        Real x = score.Value;
        Real square = e.Multiply(x, x);
        Real sum = e.MultiplyAdd(square, -5.70498872745e-3f, 2.06390887954e-2f);
        sum = e.MultiplyAdd(sum, square, -5.37397155531e-2f);
        sum = e.MultiplyAdd(sum, square, 1.33314422036e-1f);
        sum = e.MultiplyAdd(sum, square, -3.33332819422e-1f);
        Real small = e.MultiplyAdd(e.Multiply(x, square), sum, x);
        Real large = e.MultiplyAdd(share, -2f, 1f);
        e.Multiply(e.Select(small, large, e.Compare("lt", e.Abs(x), Small)), _cap, x);
    }
}
