using System.Globalization;
using System.Text.RegularExpressions;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>One PTX instruction: <c>@!p opcode operands</c>.</summary>
/// <param name="Guard">The predicate's register, or -1.</param>
/// <param name="GuardNegated">Whether it runs where the predicate is false.</param>
/// <param name="Opcode">The opcode and its modifiers.</param>
/// <param name="Operands">The operands, those of a vector one after another.</param>
/// <param name="Text">What it was read from.</param>
internal sealed record PtxInstruction(int Guard, bool GuardNegated, string[] Opcode, PtxOperand[] Operands, string Text);

/// <summary>A register, or a constant, or the address that one of them and an offset make.</summary>
internal readonly record struct PtxOperand(int Register, ulong Value)
{
    public ulong Read(PtxThread thread) => Register < 0 ? Value : thread.Registers[Register];

    public ulong Address(PtxThread thread) => Register < 0 ? Value : thread.Registers[Register] + Value;
}

/// <summary>A kernel's PTX, parsed: the subset that ILGPU generates, and what the tensor core kernels add. PTX ISA 8.0.</summary>
internal sealed partial class PtxProgram
{
    /// <summary>Registers that every thread has from the start.</summary>
    public static readonly string[] Special = ["%tid.x", "%ntid.x", "%ctaid.x", "%nctaid.x", "%laneid"];

    private readonly Dictionary<string, int> _registers = [];
    private readonly List<string> _names = [];
    private readonly Dictionary<string, ulong> _symbols = [];
    private readonly Dictionary<string, int> _labels = [];
    private readonly List<PtxInstruction> _instructions = [];

    /// <param name="ptx">The text.</param>
    /// <param name="dynamicSharedBytes">Shared memory that a launch adds, for a text that declares it without a size.</param>
    public PtxProgram(string ptx, int dynamicSharedBytes = 0)
    {
        foreach (string name in Special)
            Register(name);
        string text = Comment().Replace(ptx, "");
        int body = text.IndexOf("\n{", StringComparison.Ordinal);
        foreach (Match match in Parameter().Matches(text[..body]))
        {
            _symbols.Add(match.Groups["name"].Value, (ulong)ParameterBytes);
            int size = match.Groups["count"].Success ? int.Parse(match.Groups["count"].Value, CultureInfo.InvariantCulture) : int.Parse(match.Groups["bits"].Value, CultureInfo.InvariantCulture) / 8;
            ParameterOffsets.Add(ParameterBytes);
            ParameterBytes += (size + 15) / 16 * 16;
        }

        if (DynamicVariable().Match(text[..body]) is { Success: true } variable)
        {
            _symbols.Add(variable.Groups["name"].Value, 0);
            SharedBytes = dynamicSharedBytes;
        }

        string[] statements = text[(body + 2)..text.LastIndexOf('}')].Split(';');
        foreach (string statement in statements)
            Declare(statement.Trim());
        foreach (string statement in statements)
            Parse(statement.Trim());
    }

    public IReadOnlyList<PtxInstruction> Instructions => _instructions;

    public int RegisterCount => _registers.Count;

    /// <summary>The registers of 32 bits that a register takes; 0 for a predicate.</summary>
    public int Words(int register)
    {
        string name = _names[register];
        return name.StartsWith("%p", StringComparison.Ordinal) || name is ['p', >= '0' and <= '9'] ? 0
            : name.StartsWith("%rd", StringComparison.Ordinal) || name.StartsWith("%fd", StringComparison.Ordinal) ? 2 : 1;
    }

    public int SharedBytes { get; private set; }

    public int LocalBytes { get; private set; }

    public int ParameterBytes { get; private set; }

    public List<int> ParameterOffsets { get; } = [];

    private void Declare(string statement)
    {
        Match match = Variable().Match(statement);
        if (!match.Success)
            return;
        int size = int.Parse(match.Groups["count"].Value, CultureInfo.InvariantCulture);
        bool shared = match.Groups["space"].Value == "shared";
        int used = ((shared ? SharedBytes : LocalBytes) + 127) / 128 * 128;
        _symbols.Add(match.Groups["name"].Value, (ulong)used);
        if (shared)
            SharedBytes = used + size;
        else
            LocalBytes = used + size;
    }

    private void Parse(string statement)
    {
        while (Label().Match(statement) is { Success: true } label)
        {
            _labels.Add(label.Groups["name"].Value, _instructions.Count);
            statement = statement[label.Length..].Trim();
        }

        if (statement.Length == 0 || statement[0] == '.')
            return;
        string text = statement;
        (int guard, bool negated) = (-1, false);
        if (statement[0] == '@')
        {
            int end = statement.IndexOfAny([' ', '\t']);
            negated = statement[1] == '!';
            guard = Register(statement[(negated ? 2 : 1)..end]);
            statement = statement[end..].Trim();
        }

        string[] parts = statement.Split([' ', '\t'], 2);
        string[] operands = parts.Length < 2 ? [] : parts[1].Split([',', '{', '}', ' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        string[] opcode = parts[0].Split('.');
        _instructions.Add(new PtxInstruction(
            guard, negated, opcode, opcode[0] == "bra" ? [new PtxOperand(-1, 0)] : [.. Join(operands).Select(Operand)], text));
    }

    /// <summary>The instruction that a branch goes to.</summary>
    public int Target(PtxInstruction branch) => _labels[branch.Text[(branch.Text.LastIndexOfAny([' ', '\t']) + 1)..]];

    /// <summary>The instructions that may run after one.</summary>
    public int[] Next(int index)
    {
        PtxInstruction instruction = _instructions[index];
        int[] following = index + 1 < _instructions.Count ? [index + 1] : [];
        return instruction.Opcode[0] switch
        {
            "ret" => [],
            "bra" when instruction.Guard < 0 => [Target(instruction)],
            "bra" => [Target(instruction), .. following],
            _ => following,
        };
    }

    // "[", "%r1]" and "[%r1", "+16]" are one operand each.
    private static IEnumerable<string> Join(string[] parts)
    {
        string open = "";
        foreach (string part in parts)
        {
            open += part;
            if (open.Contains('[') && !open.Contains(']'))
                continue;
            yield return open;
            open = "";
        }
    }

    private PtxOperand Operand(string text)
    {
        if (text[0] == '[')
        {
            string[] parts = text[1..^1].Split('+');
            ulong offset = parts.Length > 1 ? Constant(parts[1]) : 0;
            return _symbols.TryGetValue(parts[0], out ulong address)
                ? new PtxOperand(-1, address + offset)
                : IsConstant(parts[0]) ? new PtxOperand(-1, Constant(parts[0]) + offset) : new PtxOperand(Register(parts[0]), offset);
        }

        return _symbols.TryGetValue(text, out ulong symbol) ? new PtxOperand(-1, symbol)
            : IsConstant(text) ? new PtxOperand(-1, Constant(text)) : new PtxOperand(Register(text), 0);
    }

    private static bool IsConstant(string text) => char.IsAsciiDigit(text[0]) || text[0] == '-';

    private static ulong Constant(string text) => text switch
    {
        ['0', 'f', .. var single] => ulong.Parse(single, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['0', 'd', .. var both] => ulong.Parse(both, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['0', 'x', .. var hex] => ulong.Parse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ['-', ..] => (ulong)long.Parse(text, CultureInfo.InvariantCulture),
        _ => ulong.Parse(text, CultureInfo.InvariantCulture),
    };

    private int Register(string name)
    {
        if (!_registers.TryGetValue(name, out int index))
        {
            _registers.Add(name, index = _registers.Count);
            _names.Add(name);
        }

        return index;
    }

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\.param (?:\.align \d+ )?\.[a-z](?<bits>\d+) (?<name>\w+)(?:\[(?<count>\d+)\])?")]
    private static partial Regex Parameter();

    [GeneratedRegex(@"\.(?<space>shared|local) \.align \d+ \.b8 (?<name>\w+)\[(?<count>\d+)\]")]
    private static partial Regex Variable();

    [GeneratedRegex(@"\.extern \.shared \.align \d+ \.b8 (?<name>\w+)\[\]")]
    private static partial Regex DynamicVariable();

    [GeneratedRegex(@"^(?<name>\w+):")]
    private static partial Regex Label();
}
