using AttentionGpu.Kernels.Tests.ControlFlow;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// The instructions that a loop may run, found by its branches. A <see cref="PtxLoop"/> is lines between a label and a branch: ILGPU puts
/// parts of the kernel that are in no loop there, too.
/// </summary>
/// <param name="Instructions">In their order.</param>
internal sealed record PtxNaturalLoop(IReadOnlyList<PtxInstruction> Instructions)
{
    /// <summary>All loops; each holds the instructions of those inside it.</summary>
    public static IReadOnlyList<PtxNaturalLoop> Find(PtxProgram program) =>
    [
        .. NaturalLoops.Find(new Dominators<int>(0, program.Next)).Values
            .Select(body => new PtxNaturalLoop([.. body.Order().Select(index => program.Instructions[index])])),
    ];

    public int Count(params ReadOnlySpan<string> opcodes)
    {
        int count = 0;
        foreach (PtxInstruction instruction in Instructions)
            count += opcodes.Contains(instruction.Opcode[0]) ? 1 : 0;
        return count;
    }

    /// <summary>Divisions and remainders of integers.</summary>
    public IEnumerable<string> Divisions => Instructions
        .Where(instruction => instruction.Opcode[0] is "div" or "rem" && instruction.Opcode[^1] is ['s' or 'u', ..])
        .Select(instruction => instruction.Text);
}
