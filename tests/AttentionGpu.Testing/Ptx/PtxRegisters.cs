using System.Collections;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>
/// How many registers of 32 bits are alive at once at most: what an assembler needs at least. It may need more for addresses that it keeps,
/// or fewer where it computes something again.
/// </summary>
internal static class PtxRegisters
{
    public static int Estimate(PtxProgram program)
    {
        IReadOnlyList<PtxInstruction> instructions = program.Instructions;
        int[][] written = [.. instructions.Select(instruction => Registers(instruction.Operands[..WrittenCount(instruction)]))];
        int[][] read = [.. instructions.Select(instruction => Registers(instruction.Operands[WrittenCount(instruction)..]))];
        int[][] next = [.. instructions.Select((_, index) => program.Next(index))];
        BitArray[] alive = [.. instructions.Select(_ => new BitArray(program.RegisterCount))];
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int i = instructions.Count - 1; i >= 0; i--)
            {
                BitArray before = After(i);

                // Under a predicate the old value may stay.
                if (instructions[i].Guard < 0)
                    Array.ForEach(written[i], register => before[register] = false);
                Array.ForEach(read[i], register => before[register] = true);
                if (instructions[i].Guard >= 0)
                    before[instructions[i].Guard] = true;
                if (!before.Cast<bool>().SequenceEqual(alive[i].Cast<bool>()))
                {
                    alive[i] = before;
                    changed = true;
                }
            }
        }

        return alive.Max(set => Enumerable.Range(PtxProgram.Special.Length, program.RegisterCount - PtxProgram.Special.Length)
            .Sum(register => set[register] ? program.Words(register) : 0));

        BitArray After(int instruction)
        {
            var set = new BitArray(program.RegisterCount);
            foreach (int successor in next[instruction])
                set.Or(alive[successor]);
            return set;
        }
    }

    private static int[] Registers(PtxOperand[] operands) => [.. operands.Where(operand => operand.Register >= 0).Select(operand => operand.Register)];

    private static int WrittenCount(PtxInstruction instruction) => instruction.Opcode[0] switch
    {
        "bar" when instruction.Opcode[1] == "red" => 1,
        "st" or "bar" or "bra" or "ret" or "cp" => 0,
        "mma" => 4,
        "mov" => instruction.Operands.Length - 1,
        "ld" or "ldmatrix" => instruction.Operands.Length - 1,
        _ => 1,
    };
}
