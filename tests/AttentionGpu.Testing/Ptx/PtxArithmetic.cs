using System.Numerics;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>Instructions that a thread does with its own registers.</summary>
internal static class PtxArithmetic
{
    public static Action<PtxThread> Compile(PtxInstruction instruction)
    {
        string[] opcode = instruction.Opcode;
        PtxOperand[] operands = instruction.Operands;
        int result = operands[0].Register;
        PtxOperand one = operands.ElementAtOrDefault(1);
        PtxOperand two = operands.ElementAtOrDefault(2);
        PtxOperand three = operands.ElementAtOrDefault(3);
        string type = opcode[^1];
        switch (opcode[0])
        {
            case "mov" when operands.Length == 3:
                return thread =>
                {
                    ulong halves = operands[2].Read(thread);
                    thread.Registers[result] = (ushort)halves;
                    thread.Registers[operands[1].Register] = (ushort)(halves >> 16);
                };
            case "mov" or "cvta":
                return thread => thread.Registers[result] = one.Read(thread);
            case "selp":
                return thread => thread.Registers[result] = (three.Read(thread) != 0 ? one : two).Read(thread);
            case "cvt":
                return Convert(instruction);
            case "setp":
                Func<ulong, ulong, bool> compare = Comparison(opcode[1], type);
                return opcode.Length == 4
                    ? thread => thread.Registers[result] = (opcode[2] == "or"
                        ? compare(one.Read(thread), two.Read(thread)) | three.Read(thread) != 0
                        : compare(one.Read(thread), two.Read(thread)) & three.Read(thread) != 0) ? 1UL : 0UL
                    : thread => thread.Registers[result] = compare(one.Read(thread), two.Read(thread)) ? 1UL : 0UL;
            default:
                Func<ulong, ulong, ulong, ulong> function = Function(instruction);
                return thread => thread.Registers[result] = function(one.Read(thread), two.Read(thread), three.Read(thread));
        }
    }

    private static Func<ulong, ulong, ulong, ulong> Function(PtxInstruction instruction)
    {
        string[] opcode = instruction.Opcode;
        string type = opcode[^1];
        if (type == "f32")
            return SingleFunction(instruction);
        bool wide = type.EndsWith("64", StringComparison.Ordinal);
        bool signed = type[0] == 's';
        Func<ulong, ulong, ulong, ulong> function = opcode[0] switch
        {
            "add" => (a, b, _) => a + b,
            "sub" => (a, b, _) => a - b,
            "mul" when opcode[1] == "wide" => signed ? (a, b, _) => (ulong)((long)(int)a * (int)b) : (a, b, _) => (ulong)(uint)a * (uint)b,
            "mul" => (a, b, _) => a * b,
            "mad" => (a, b, c) => a * b + c,
            "div" => wide ? (a, b, _) => (ulong)((long)a / (long)b) : (a, b, _) => (ulong)((int)a / (int)b),
            "rem" => wide ? (a, b, _) => (ulong)((long)a % (long)b) : (a, b, _) => (ulong)((int)a % (int)b),
            "min" => (a, b, _) => (ulong)Math.Min((int)a, (int)b),
            "max" => (a, b, _) => (ulong)Math.Max((int)a, (int)b),
            "and" => (a, b, _) => a & b,
            "or" => (a, b, _) => a | b,
            "xor" => (a, b, _) => a ^ b,
            "not" when type == "pred" => (a, _, _) => a ^ 1,
            "shl" => (a, b, _) => a << (int)b,
            "shr" when signed => wide ? (a, b, _) => (ulong)((long)a >> (int)b) : (a, b, _) => (ulong)((int)a >> (int)b),
            "shr" => wide ? (a, b, _) => a >> (int)b : (a, b, _) => (uint)a >> (int)b,
            _ => throw new PtxException($"not known here: {instruction.Text}"),
        };
        bool knownSign = signed || opcode[0] is not ("div" or "rem" or "min" or "max");
        if (!knownSign)
            throw new PtxException($"not known here: {instruction.Text}");
        return wide || opcode[1] == "wide" ? function : (a, b, c) => (uint)function(a, b, c);
    }

    private static Func<ulong, ulong, ulong, ulong> SingleFunction(PtxInstruction instruction)
    {
        Func<float, float, float, float> function = instruction.Opcode[0] switch
        {
            "add" => (a, b, _) => a + b,
            "sub" => (a, b, _) => a - b,
            "mul" => (a, b, _) => a * b,
            "div" => (a, b, _) => a / b,
            "fma" => MathF.FusedMultiplyAdd,
            "neg" => (a, _, _) => -a,
            "abs" => (a, _, _) => MathF.Abs(a),
            "sqrt" => (a, _, _) => MathF.Sqrt(a),
            "min" when instruction.Opcode[1] == "NaN" => (a, b, _) => MathF.Min(a, b),
            "max" when instruction.Opcode[1] == "NaN" => (a, b, _) => MathF.Max(a, b),
            "min" => (a, b, _) => float.MinNumber(a, b),
            "max" => (a, b, _) => float.MaxNumber(a, b),
            "rcp" => (a, _, _) => 1f / a,
            "ex2" => (a, _, _) => (float)Math.Pow(2.0, a),
            "lg2" => (a, _, _) => (float)Math.Log2(a),
            _ => throw new PtxException($"not known here: {instruction.Text}"),
        };
        return (a, b, c) => Bits(function(Single(a), Single(b), Single(c)));
    }

    private static Func<ulong, ulong, bool> Comparison(string comparison, string type)
    {
        if (type == "f32")
        {
            return comparison switch
            {
                "eq" => (a, b) => Single(a) == Single(b),
                "ne" => (a, b) => Single(a) < Single(b) || Single(a) > Single(b),
                "lt" => (a, b) => Single(a) < Single(b),
                "le" => (a, b) => Single(a) <= Single(b),
                "gt" => (a, b) => Single(a) > Single(b),
                "ge" => (a, b) => Single(a) >= Single(b),

                // Also where one is NaN.
                "equ" => (a, b) => !(Single(a) < Single(b) || Single(a) > Single(b)),
                "neu" => (a, b) => Single(a) != Single(b),
                "ltu" => (a, b) => !(Single(a) >= Single(b)),
                "leu" => (a, b) => !(Single(a) > Single(b)),
                "gtu" => (a, b) => !(Single(a) <= Single(b)),
                "geu" => (a, b) => !(Single(a) < Single(b)),
                _ => throw new PtxException($"not known here: setp.{comparison}.{type}"),
            };
        }

        return type switch
        {
            "s32" => Ordered(comparison, bits => (int)bits),
            "s64" => Ordered(comparison, bits => (long)bits),
            "u32" or "b32" => Ordered(comparison, bits => (uint)bits),
            "u64" or "b64" => Ordered(comparison, bits => bits),
            _ => throw new PtxException($"not known here: setp.{comparison}.{type}"),
        };
    }

    private static Func<ulong, ulong, bool> Ordered<T>(string comparison, Func<ulong, T> read)
        where T : IComparisonOperators<T, T, bool> => comparison switch
        {
            "eq" => (a, b) => read(a) == read(b),
            "ne" => (a, b) => read(a) != read(b),
            "lt" or "lo" => (a, b) => read(a) < read(b),
            "le" or "ls" => (a, b) => read(a) <= read(b),
            "gt" or "hi" => (a, b) => read(a) > read(b),
            _ => (a, b) => read(a) >= read(b),
        };

    private static Action<PtxThread> Convert(PtxInstruction instruction)
    {
        (int result, PtxOperand one, PtxOperand two) = (instruction.Operands[0].Register, instruction.Operands[1], instruction.Operands.ElementAtOrDefault(2));
        Func<ulong, ulong> convert = string.Join('.', instruction.Opcode[1..]) switch
        {
            "s64.s32" => bits => (ulong)(int)bits,
            "u64.u32" => bits => (uint)bits,
            "s32.u8" or "u32.u8" => bits => (byte)bits,
            "s32.u16" or "u32.u16" => bits => (ushort)bits,
            "s32.s16" => bits => (uint)(short)bits,
            "u8.u32" or "u8.s32" => bits => (byte)bits,
            "u16.u32" => bits => (ushort)bits,
            "s32.s64" or "u32.u64" => bits => (uint)bits,
            "f32.f16" => bits => Bits((float)BitConverter.UInt16BitsToHalf((ushort)bits)),
            "rn.f16.f32" => bits => BitConverter.HalfToUInt16Bits((Half)Single(bits)),
            "rn.f32.s32" => bits => Bits((int)bits),
            "rn.f64.u32" => bits => BitConverter.DoubleToUInt64Bits((uint)bits),
            "rn.f32.f64" => bits => Bits((float)BitConverter.UInt64BitsToDouble(bits)),
            "rn.f16x2.f32" => bits => BitConverter.HalfToUInt16Bits((Half)Single(bits)),
            "rn.bf16x2.f32" => bits => BFloat16Bits((uint)bits),
            _ => throw new PtxException($"not known here: {instruction.Text}"),
        };

        // The first source becomes the upper half.
        return instruction.Opcode[2].EndsWith("x2", StringComparison.Ordinal)
            ? thread => thread.Registers[result] = (convert(one.Read(thread)) << 16) | convert(two.Read(thread))
            : thread => thread.Registers[result] = convert(one.Read(thread));
    }

    // To the nearest, of two the even one.
    private static uint BFloat16Bits(uint bits) =>
        float.IsNaN(BitConverter.UInt32BitsToSingle(bits)) ? 0x7FFFu : (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;

    private static float Single(ulong bits) => BitConverter.UInt32BitsToSingle((uint)bits);

    private static uint Bits(float value) => BitConverter.SingleToUInt32Bits(value);
}
