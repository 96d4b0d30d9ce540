using System.Globalization;
using System.Text.RegularExpressions;

namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>What the assembler makes of a kernel.</summary>
internal sealed record AssembledKernel(SassResources Resources, SassGraph Graph)
{
    /// <summary>The loops that no other loop holds.</summary>
    public IReadOnlyList<SassLoop> Loops { get; } = SassLoop.Find(Graph);
}

/// <summary>What a kernel needs of a multiprocessor: the report of <c>ptxas -v</c>.</summary>
/// <param name="Registers">Of a thread.</param>
/// <param name="SpillBytes">Stores and loads of registers that there was no room for, in code.</param>
/// <param name="SharedBytes">Of a group.</param>
internal sealed partial record SassResources(int Registers, int SpillBytes, int SharedBytes)
{
    /// <exception cref="FormatException">The report has no count of registers.</exception>
    public static SassResources Parse(string report) => new(
        Sum(Register().Matches(report)) is int registers and > 0 ? registers : throw new FormatException($"No registers: {report}"),
        Sum(Spill().Matches(report)), Sum(Shared().Matches(report)));

    private static int Sum(MatchCollection matches) =>
        matches.Sum(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));

    [GeneratedRegex(@"(\d+) registers")]
    private static partial Regex Register();

    [GeneratedRegex(@"(\d+) bytes spill (?:stores|loads)")]
    private static partial Regex Spill();

    [GeneratedRegex(@"(\d+) bytes smem")]
    private static partial Regex Shared();
}
