using System.Buffers.Binary;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>What the 32 threads of a warp do together. PTX ISA, "Warp-level matrix instructions" and "shfl.sync".</summary>
internal static class PtxWarp
{
    // Of mma.m16n8k16.
    private const int Rows = 16;
    private const int Columns = 8;
    private const int Depth = 16;

    public static void Execute(PtxInstruction instruction, PtxThread[] warp, PtxSharedMemory shared)
    {
        switch (instruction.Opcode[0])
        {
            case "shfl":
                Shuffle(instruction, warp);
                break;
            case "vote":
                Vote(instruction, warp);
                break;
            case "ldmatrix":
                LoadMatrices(instruction, warp, shared);
                break;
            default:
                Multiply(instruction, warp);
                break;
        }
    }

    private static void Shuffle(PtxInstruction instruction, PtxThread[] warp)
    {
        PtxOperand[] operands = instruction.Operands;
        if (instruction.Opcode[2] != "bfly" || operands[3].Value != 31 || (uint)operands[4].Value != uint.MaxValue)
            throw new PtxException($"not known here: {instruction.Text}");
        ulong[] values = [.. warp.Select(thread => operands[1].Read(thread))];
        for (int lane = 0; lane < warp.Length; lane++)
            warp[lane].Registers[operands[0].Register] = values[lane ^ (int)operands[2].Read(warp[lane])];
    }

    private static void Vote(PtxInstruction instruction, PtxThread[] warp)
    {
        PtxOperand[] operands = instruction.Operands;
        if (instruction.Opcode is not ["vote", "sync", "any", "pred"] || (uint)operands[2].Value != uint.MaxValue)
            throw new PtxException($"not known here: {instruction.Text}");
        ulong any = Array.Exists(warp, thread => operands[1].Read(thread) != 0) ? 1UL : 0UL;
        foreach (PtxThread thread in warp)
            thread.Registers[operands[0].Register] = any;
    }

    // Threads 8 i to 8 i + 7 name the rows of matrix i, of 8 x 8 elements. A thread gets two neighbours of a row, or of a column of the
    // transpose.
    private static void LoadMatrices(PtxInstruction instruction, PtxThread[] warp, PtxSharedMemory shared)
    {
        bool transposed = instruction.Opcode.Contains("trans");
        PtxOperand[] operands = instruction.Operands;
        for (int matrix = 0; matrix < operands.Length - 1; matrix++)
        {
            var elements = new ushort[8, 8];
            for (int row = 0; row < 8; row++)
            {
                PtxThread thread = warp[8 * matrix + row];
                ReadOnlySpan<byte> bytes = shared.Read(operands[^1].Address(thread) & uint.MaxValue, 16, thread.Index);
                for (int column = 0; column < 8; column++)
                    elements[row, column] = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * column)..]);
            }

            for (int lane = 0; lane < warp.Length; lane++)
            {
                (int row, int column) = (lane / 4, lane % 4 * 2);
                (ushort low, ushort high) = transposed
                    ? (elements[column, row], elements[column + 1, row])
                    : (elements[row, column], elements[row, column + 1]);
                warp[lane].Registers[operands[matrix].Register] = low | ((uint)high << 16);
            }
        }
    }

    private static void Multiply(PtxInstruction instruction, PtxThread[] warp)
    {
        PtxOperand[] operands = instruction.Operands;
        bool half = instruction.Opcode.Contains("f16");
        float Value(PtxThread thread, int operand, int part)
        {
            var bits = (ushort)(operands[operand].Read(thread) >> (16 * part));
            return half ? (float)BitConverter.UInt16BitsToHalf(bits) : BitConverter.UInt32BitsToSingle((uint)bits << 16);
        }

        Span<float> left = stackalloc float[Rows * Depth];
        Span<float> right = stackalloc float[Columns * Depth];
        for (int lane = 0; lane < warp.Length; lane++)
        {
            (int group, int inGroup) = (lane / 4, lane % 4);
            for (int part = 0; part < 2; part++)
            {
                int inner = 2 * inGroup + part;
                for (int register = 0; register < 4; register++)
                    left[(group + 8 * (register % 2)) * Depth + inner + 8 * (register / 2)] = Value(warp[lane], 4 + register, part);
                for (int register = 0; register < 2; register++)
                    right[group * Depth + inner + 8 * register] = Value(warp[lane], 8 + register, part);
            }
        }

        for (int lane = 0; lane < warp.Length; lane++)
        {
            for (int register = 0; register < 4; register++)
            {
                (int row, int column) = (lane / 4 + 8 * (register / 2), lane % 4 * 2 + register % 2);
                double sum = BitConverter.UInt32BitsToSingle((uint)operands[10 + register].Read(warp[lane]));
                for (int depth = 0; depth < Depth; depth++)
                    sum += (double)left[row * Depth + depth] * right[column * Depth + depth];
                warp[lane].Registers[operands[register].Register] = BitConverter.SingleToUInt32Bits((float)sum);
            }
        }
    }
}
