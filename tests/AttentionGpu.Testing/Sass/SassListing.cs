using System.Globalization;
using System.Text.RegularExpressions;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>A kernel as <c>nvdisasm -c</c> prints it: its instructions, and the addresses of its labels.</summary>
internal sealed partial class SassListing
{
    private readonly List<SassInstruction> _instructions = [];
    private readonly Dictionary<string, int> _labels = [];

    /// <param name="text">What nvdisasm prints of an image that has one kernel.</param>
    /// <exception cref="FormatException">The text has no kernel, or several.</exception>
    public SassListing(string text)
    {
        int kernels = 0;
        bool isCode = false;
        List<string> pending = [];
        foreach (string line in text.Split('\n'))
        {
            if (line.StartsWith("//---", StringComparison.Ordinal))
            {
                isCode = line.Contains(".text.", StringComparison.Ordinal);
                kernels += isCode ? 1 : 0;
            }
            else if (isCode && Label().Match(line) is { Success: true } label)
            {
                pending.Add(label.Groups["name"].Value);
            }
            else if (isCode && Instruction().Match(line) is { Success: true } match)
            {
                int address = int.Parse(match.Groups["address"].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                pending.ForEach(name => _labels.Add(name, address));
                pending.Clear();
                _instructions.Add(new SassInstruction(
                    address, match.Groups["guard"].Value, match.Groups["name"].Value, match.Groups["operands"].Value));
            }
        }

        if (kernels != 1 || _instructions.Count == 0)
            throw new FormatException($"The listing has {kernels} kernels and {_instructions.Count} instructions.");
    }

    public IReadOnlyList<SassInstruction> Instructions => _instructions;

    /// <summary>The address that an instruction names: the first label among its operands; null where it has none.</summary>
    public int? Target(SassInstruction instruction) =>
        Reference().Match(instruction.Operands) is { Success: true } match
            && _labels.TryGetValue(match.Groups["name"].Value, out int address) ? address : null;

    [GeneratedRegex(@"^(?<name>[.$\w]+):")]
    private static partial Regex Label();

    [GeneratedRegex(@"^\s*/\*(?<address>[0-9a-f]{4,})\*/\s+(?:(?<guard>@!?U?P\w+)\s+)?(?<name>[A-Z][A-Za-z0-9_.]*)\s*(?<operands>.*?)\s*;")]
    private static partial Regex Instruction();

    [GeneratedRegex(@"`\((?<name>[^)]+)\)")]
    private static partial Regex Reference();
}
