using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>
/// <c>cap * tanh(score / cap)</c>, before anything is added or hidden: Gemma 2 (2024), and the ONNX operator <c>Attention</c>.
/// </summary>
public struct Softcap : IScoreVariant
{
    // Below it 1 - 2 e^-2x / (1 + e^-2x) loses digits, and a polynomial is exact enough.
    private const float Small = 0.625f;

    /// <summary>The cap; more than 0.</summary>
    public float Cap;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => false;

    /// <inheritdoc/>
    public readonly bool IsVisible(SequenceHead head, int query, int key) => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key) => Cap * Tanh(score / Cap);

    /// <summary>
    /// The hyperbolic tangent: under 2 ulp, and exact at 0. (1.5 ulp where division rounds to nearest.) A device's own instruction for it
    /// may have 11 bits, and the one for exponentials 20. Near 0 it is the polynomial of Moshier's Cephes library.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Tanh(float x)
    {
        float size = IntrinsicMath.Abs(x);
        float decay = LaneMath.ExpOfNonPositive(-2f * size);
        float large = 1f - 2f * decay / (1f + decay);
        float square = x * x;
        float sum = -5.70498872745e-3f * square + 2.06390887954e-2f;
        sum = sum * square - 5.37397155531e-2f;
        sum = sum * square + 1.33314422036e-1f;
        sum = sum * square - 3.33332819422e-1f;
        return size < Small ? x + x * square * sum : x < 0f ? -large : large;
    }
}
