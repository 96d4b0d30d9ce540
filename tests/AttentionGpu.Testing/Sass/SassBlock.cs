namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>A basic block: instructions that run one after another, whatever happens.</summary>
internal sealed class SassBlock(IReadOnlyList<SassInstruction> instructions)
{
    // A mask compares each of a thread's 16 or 32 scores with the bounds of what its row sees; nothing else in a kernel compares so much.
    private const int MaskComparisons = 30;

    public IReadOnlyList<SassInstruction> Instructions { get; } = instructions;

    public int Address => Instructions[0].Address;

    /// <summary>The blocks that may run next.</summary>
    public List<SassBlock> Next { get; } = [];

    /// <summary>Whether it hides scores, which a kernel does in the blocks of keys at a border alone.</summary>
    public bool IsMask => Count(SassKind.Comparison) >= MaskComparisons && Count(SassKind.TensorProduct) == 0;

    public int Count(SassKind kind) => Instructions.Count(instruction => !instruction.IsNever && instruction.Kind == kind);
}
