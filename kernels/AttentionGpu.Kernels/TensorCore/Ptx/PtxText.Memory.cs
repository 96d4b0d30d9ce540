namespace AttentionGpu.Kernels.TensorCore.Ptx;

/// <summary>Memory, and what the threads of a warp or a group do together.</summary>
public sealed partial class PtxText
{
    /// <summary>Bytes that one copy or one read of a row brings.</summary>
    public const int PieceBytes = 16;

    /// <summary>A number of 32 bits from the device's memory.</summary>
    public Word LoadWord(Wide address, int offset = 0, Word? into = null) =>
        Write("ld.global.u32", into, $"[{address.Text}+{offset}]");

    /// <summary>A number of 64 bits from the device's memory.</summary>
    public Wide LoadLong(Wide address, int offset = 0) => Write<Wide>("ld.global.u64", null, $"[{address.Text}+{offset}]");

    /// <summary>16 bits from the device's memory, with zeros above them.</summary>
    public Word LoadHalf(Wide address, int offset = 0, Word? into = null) =>
        Write("ld.global.u16", into, $"[{address.Text}+{offset}]");

    /// <summary>A byte from the device's memory, with zeros above it.</summary>
    public Word LoadByte(Wide address, int offset = 0, Word? into = null) =>
        Write("ld.global.u8", into, $"[{address.Text}+{offset}]");

    /// <summary>A float32 from the device's memory.</summary>
    public Real LoadFloat(Wide address, int offset = 0, Real? into = null) =>
        Write("ld.global.f32", into, $"[{address.Text}+{offset}]");

    /// <summary>Writes a float32 to the device's memory.</summary>
    public void Store(Wide address, Real value) => Line($"st.global.f32 [{address.Text}], {value.Text};");

    /// <summary>Writes the lower 16 bits of a word to the device's memory.</summary>
    public void StoreHalf(Wide address, int offset, Word value) => Line($"st.global.u16 [{address.Text}+{offset}], {value.Text};");

    /// <summary>Writes a piece to the device's memory.</summary>
    public void StorePiece(Wide address, int offset, Word[] piece) =>
        Line($"st.global.v4.b32 [{address.Text}+{offset}], {Vector(piece)};");

    /// <summary>A piece from shared memory.</summary>
    public Word[] LoadSharedPiece(Word address, int offset)
    {
        Word[] piece = New<Word>(4);
        Line($"ld.shared.v4.b32 {Vector(piece)}, [{address.Text}+{offset}];");
        return piece;
    }

    /// <summary>Writes a piece to shared memory.</summary>
    public void StoreSharedPiece(Word address, int offset, Word[] piece) =>
        Line($"st.shared.v4.b32 [{address.Text}+{offset}], {Vector(piece)};");

    /// <summary>A word from shared memory.</summary>
    public Word LoadShared(Word address) => Write<Word>("ld.shared.u32", null, $"[{address.Text}]");

    /// <summary>16 bits from shared memory, with zeros above them.</summary>
    public Word LoadSharedHalf(Word address) => Write<Word>("ld.shared.u16", null, $"[{address.Text}]");

    /// <summary>Writes a word to shared memory.</summary>
    public void StoreShared(Word address, int offset, Word value) => Line($"st.shared.u32 [{address.Text}+{offset}], {value.Text};");

    /// <summary>Starts the copy of a piece from the device's memory to shared memory.</summary>
    public void Copy(Word target, int offset, Wide source) =>
        Line($"cp.async.cg.shared.global [{target.Text}+{offset}], [{source.Text}], 16, 16;");

    /// <summary>The copies since the last call are a group.</summary>
    public void Commit() => Line("cp.async.commit_group;");

    /// <summary>Waits for the thread's copies, but for the last groups of them.</summary>
    public void Wait(int groups = 0) => Line($"cp.async.wait_group {groups};");

    /// <summary>All threads of the group meet.</summary>
    public void Barrier() => Line("bar.sync 0;");

    /// <summary>All threads of the group meet; whether the condition holds in any of them.</summary>
    public Predicate AnyOfGroup(Predicate condition) => Write<Predicate>("bar.red.or.pred", null, $"0, {condition.Text}");

    /// <summary>Whether the condition holds in any thread of the warp.</summary>
    public Predicate AnyOfWarp(Predicate condition) =>
        Write<Predicate>("vote.sync.any.pred", null, $"{condition.Text}, 0xffffffff");

    /// <summary>The value of the thread whose number in the warp differs in these bits.</summary>
    public Real Exchange(Real value, int bits) =>
        Write<Real>("shfl.sync.bfly.b32", null, $"{value.Text}, {bits}, 31, 0xffffffff");

    /// <summary>
    /// Four matrices of 8 x 8 elements from shared memory, whose rows of 16 bytes the threads name: 0 to 7 of the first and so on. A thread
    /// gets two neighbours of each; of a transposed one, two neighbours of a column.
    /// </summary>
    public Word[] LoadMatrices(Word address, int offset, bool isTransposed = false)
    {
        Word[] matrices = New<Word>(4);
        Line($"ldmatrix.sync.aligned.m8n8.x4{(isTransposed ? ".trans" : "")}.shared.b16 {Vector(matrices)}, [{address.Text}+{offset}];");
        return matrices;
    }

    /// <summary>A product of 16 x 16 and 16 x 8 elements on tensor cores, added to 16 x 8 sums.</summary>
    /// <param name="element">f16 or bf16.</param>
    /// <param name="sums">What it becomes.</param>
    /// <param name="left">Four words of the left one.</param>
    /// <param name="right0">The first word of the right one.</param>
    /// <param name="right1">The second word.</param>
    /// <param name="isFirst">Whether the sums are 0 before.</param>
    public void MatrixMultiply(string element, Span<Real> sums, Word[] left, Word right0, Word right1, bool isFirst)
    {
        Real[] target = sums.ToArray();
        Real[] before = isFirst ? [0f, 0f, 0f, 0f] : target;
        Line($"mma.sync.aligned.m16n8k16.row.col.f32.{element}.{element}.f32 {Vector(target)}, {Vector(left)}, "
            + $"{{{right0.Text}, {right1.Text}}}, {Vector(before)};");
    }

    /// <summary>Two float32 as two elements of 16 bits, rounded to the nearest.</summary>
    public Word Pack(string element, Real low, Real high) => Write<Word>($"cvt.rn.{element}x2.f32", null, $"{high.Text}, {low.Text}");

    private static string Vector<T>(T[] operands)
        where T : struct, IPtxOperand<T> => $"{{{string.Join(", ", operands.Select(operand => operand.Text))}}}";
}
