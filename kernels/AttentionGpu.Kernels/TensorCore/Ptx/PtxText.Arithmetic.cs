namespace AttentionGpu.Kernels.TensorCore.Ptx;

/// <summary>Instructions that a thread does with its own registers.</summary>
public sealed partial class PtxText
{
    /// <summary>A copy of an operand.</summary>
    public Word Move(Word value, Word? into = null) => Write("mov.b32", into, value.Text);

    /// <summary>A copy of an operand.</summary>
    public Wide Move(Wide value, Wide? into = null) => Write("mov.b64", into, value.Text);

    /// <summary>A copy of an operand.</summary>
    public Real Move(Real value, Real? into = null) => Write("mov.f32", into, value.Text);

    /// <summary>The sum.</summary>
    public Word Add(Word a, Word b, Word? into = null) => Write("add.s32", into, $"{a.Text}, {b.Text}");

    /// <summary>The difference.</summary>
    public Word Subtract(Word a, Word b, Word? into = null) => Write("sub.s32", into, $"{a.Text}, {b.Text}");

    /// <summary>The lower half of the product.</summary>
    public Word Multiply(Word a, Word b) => Write<Word>("mul.lo.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>a * b + c, the lower half.</summary>
    public Word MultiplyAdd(Word a, Word b, Word c) => Write<Word>("mad.lo.s32", null, $"{a.Text}, {b.Text}, {c.Text}");

    /// <summary>The quotient, towards zero. It is some 20 instructions.</summary>
    public Word Divide(Word a, Word b) => Write<Word>("div.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>The smaller one.</summary>
    public Word Min(Word a, Word b) => Write<Word>("min.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>The larger one.</summary>
    public Word Max(Word a, Word b) => Write<Word>("max.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>The bits that both have.</summary>
    public Word And(Word a, Word b) => Write<Word>("and.b32", null, $"{a.Text}, {b.Text}");

    /// <summary>The bits that either has.</summary>
    public Word Or(Word a, Word b) => Write<Word>("or.b32", null, $"{a.Text}, {b.Text}");

    /// <summary>The bits that one of both has.</summary>
    public Word Xor(Word a, Word b) => Write<Word>("xor.b32", null, $"{a.Text}, {b.Text}");

    /// <summary>Moves bits up.</summary>
    public Word ShiftLeft(Word a, Word bits) => Write<Word>("shl.b32", null, $"{a.Text}, {bits.Text}");

    /// <summary>Moves bits down, with zeros behind.</summary>
    public Word ShiftRight(Word a, Word bits) => Write<Word>("shr.u32", null, $"{a.Text}, {bits.Text}");

    /// <summary>a where the condition holds, else b.</summary>
    public Word Select(Word a, Word b, Predicate condition, Word? into = null) =>
        Write("selp.b32", into, $"{a.Text}, {b.Text}, {condition.Text}");

    /// <summary>The sum.</summary>
    public Wide Add(Wide a, Wide b, Wide? into = null) => Write("add.s64", into, $"{a.Text}, {b.Text}");

    /// <summary>The lower half of the product.</summary>
    public Wide Multiply(Wide a, Wide b) => Write<Wide>("mul.lo.s64", null, $"{a.Text}, {b.Text}");

    /// <summary>The product of two numbers of 32 bits.</summary>
    public Wide MultiplyWide(Word a, Word b) => Write<Wide>("mul.wide.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>The same number in 64 bits.</summary>
    public Wide Widen(Word a) => Write<Wide>("cvt.s64.s32", null, a.Text);

    /// <summary>Moves bits up.</summary>
    public Wide ShiftLeft(Wide a, Word bits) => Write<Wide>("shl.b64", null, $"{a.Text}, {bits.Text}");

    /// <summary>The sum.</summary>
    public Real Add(Real a, Real b, Real? into = null) => Write("add.f32", into, $"{a.Text}, {b.Text}");

    /// <summary>The difference.</summary>
    public Real Subtract(Real a, Real b, Real? into = null) => Write("sub.f32", into, $"{a.Text}, {b.Text}");

    /// <summary>The product.</summary>
    public Real Multiply(Real a, Real b, Real? into = null) => Write("mul.f32", into, $"{a.Text}, {b.Text}");

    /// <summary>a * b + c, rounded once.</summary>
    public Real MultiplyAdd(Real a, Real b, Real c, Real? into = null) =>
        Write("fma.rn.f32", into, $"{a.Text}, {b.Text}, {c.Text}");

    /// <summary>The larger one; of a number and NaN the number.</summary>
    public Real Max(Real a, Real b, Real? into = null) => Write("max.f32", into, $"{a.Text}, {b.Text}");

    /// <summary>The number, or the bound with its sign where it is larger; NaN stays NaN. Two instructions.</summary>
    public Real Clamp(Real a, float bound)
    {
        Real least = Write<Real>("max.NaN.f32", null, $"{a.Text}, {((Real)(-bound)).Text}");
        return Write<Real>("min.NaN.f32", null, $"{least.Text}, {((Real)bound).Text}");
    }

    /// <summary>The number with the other sign.</summary>
    public Real Negate(Real a) => Write<Real>("neg.f32", null, a.Text);

    /// <summary>The number without its sign.</summary>
    public Real Abs(Real a, Real? into = null) => Write("abs.f32", into, a.Text);

    /// <summary>1 / a.</summary>
    public Real Reciprocal(Real a) => Write<Real>("rcp.rn.f32", null, a.Text);

    /// <summary>1 / a, with an error of up to 1 ulp: one instruction.</summary>
    public Real FastReciprocal(Real a, Real? into = null) => Write("rcp.approx.ftz.f32", into, a.Text);

    /// <summary>2^a, with an error of up to 2 ulp: one instruction.</summary>
    public Real Power2(Real a, Real? into = null) => Write("ex2.approx.ftz.f32", into, a.Text);

    /// <summary>log2(a), with an absolute error of up to 2^-22 near 1: one instruction, and scaling of numbers below 2^-126.</summary>
    public Real Log2(Real a) => Write<Real>("lg2.approx.f32", null, a.Text);

    /// <summary>The whole number as a float32.</summary>
    public Real ToReal(Word a) => Write<Real>("cvt.rn.f32.s32", null, a.Text);

    /// <summary>An element of 16 bits, in the lower half of a word, as a float32.</summary>
    /// <param name="element">f16 or bf16.</param>
    /// <param name="bits">The element.</param>
    /// <param name="into">What it becomes.</param>
    public Real ToReal(string element, Word bits, Real? into = null) => element == "bf16"
        ? Write("mov.b32", into, ShiftLeft(bits, 16).Text)
        : Write("cvt.f32.f16", into, Write<HalfWord>("cvt.u16.u32", null, bits.Text).Text);

    /// <summary>The bits of a float32.</summary>
    public Word Bits(Real a) => Write<Word>("mov.b32", null, a.Text);

    /// <summary>a where the condition holds, else b.</summary>
    public Real Select(Real a, Real b, Predicate condition, Real? into = null) =>
        Write("selp.f32", into, $"{a.Text}, {b.Text}, {condition.Text}");

    /// <summary>Compares whole numbers.</summary>
    /// <param name="comparison">lt, le, gt, ge, eq or ne.</param>
    /// <param name="a">The left one.</param>
    /// <param name="b">The right one.</param>
    public Predicate Compare(string comparison, Word a, Word b) =>
        Write<Predicate>($"setp.{comparison}.s32", null, $"{a.Text}, {b.Text}");

    /// <summary>Compares whole numbers; holds where another condition does too.</summary>
    public Predicate CompareAnd(string comparison, Word a, Word b, Predicate other) =>
        Write<Predicate>($"setp.{comparison}.and.s32", null, $"{a.Text}, {b.Text}, {other.Text}");

    /// <summary>Compares numbers: false where one is NaN, but for neu.</summary>
    public Predicate Compare(string comparison, Real a, Real b) =>
        Write<Predicate>($"setp.{comparison}.f32", null, $"{a.Text}, {b.Text}");

    /// <summary>Compares numbers; holds where another condition does too.</summary>
    public Predicate CompareAnd(string comparison, Real a, Real b, Predicate other) =>
        Write<Predicate>($"setp.{comparison}.and.f32", null, $"{a.Text}, {b.Text}, {other.Text}");

    /// <summary>Compares numbers; holds also where another condition does.</summary>
    public Predicate CompareOr(string comparison, Real a, Real b, Predicate other) =>
        Write<Predicate>($"setp.{comparison}.or.f32", null, $"{a.Text}, {b.Text}, {other.Text}");
}
