using AttentionGpu.Backends.Accelerator;
using AttentionGpu.Backends.Accelerator.Texts;
using AttentionGpu.Kernels.Common.Ranges;
using AttentionGpu.Kernels.Common.Variants;
using AttentionGpu.Kernels.TensorCore.Attention;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Variants;

/// <summary>
/// A change of scores, or a rule beside position that hides keys, as all backends see it: the struct of the kernels with its memory, and
/// the same for one
/// score on the host. The reference and, for variants that it has no vector code for, the <c>simd</c> device use the latter.
/// </summary>
internal abstract class ScoreVariant
{
    /// <summary>
    /// All variants, in the order in which they change a score. A new one comes last: vector code of <c>simd</c> runs before it.
    /// </summary>
    public static IReadOnlyList<ScoreVariant> All { get; } =
    [
        new SoftcapVariant(), new AlibiVariant(), new DistanceBiasVariant(), new BiasVariant(), new MaskVariant(), new DocumentVariant(),
        new KeyPaddingVariant(), new KeyBiasVariant(), new TreeVariant(),
    ];

    /// <summary>How many texts a variant has at most.</summary>
    public const int MaxTextKinds = 2;

    /// <summary>The variant in a signature.</summary>
    public abstract ScoreVariants Flag { get; }

    /// <summary>Whether the variant hides the key.</summary>
    public virtual bool Hides(in ScorePoint point) => false;

    /// <summary>The score of a visible key as the variant leaves it.</summary>
    public virtual double Change(double score, in ScorePoint point) => score;

    /// <summary>Adds the kernels' struct to the rules, and plans what comes after.</summary>
    /// <param name="planner">Plans the kernel.</param>
    /// <param name="rules">The range of keys and the variants before this one.</param>
    /// <param name="next">The number of the next variant.</param>
    public abstract IPlan<AttentionExtent, AttentionBuffers> Plan<TRange, TVariant>(
        AttentionPlanner planner, ScoreRules<TRange, TVariant> rules, int next)
        where TRange : struct, IKeyRange
        where TVariant : struct, IScoreVariant;

    /// <summary>Which of its texts for tensor cores a call needs; less than <see cref="MaxTextKinds"/>.</summary>
    public virtual int TextKind(in AttentionExtent extent) => 0;

    /// <summary>The variant in a text for tensor cores.</summary>
    /// <param name="kind">See <see cref="TextKind"/>.</param>
    public abstract ScoreText CreateText(int kind);

    /// <summary>Adds the parameters that the text declares.</summary>
    public abstract void AddArguments(ref TextArguments arguments, in AttentionExtent extent, in AttentionBuffers buffers);

    /// <summary>The variants of a signature that are not among those given.</summary>
    public static ScoreVariant[] Beside(AttentionSignature signature, ScoreVariants known) =>
        [.. All.Where(variant => signature.Has(variant.Flag) && (variant.Flag & known) == 0)];
}
