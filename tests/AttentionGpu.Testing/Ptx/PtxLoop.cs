using System.Text.RegularExpressions;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>A loop of a PTX listing.</summary>
/// <param name="Instructions">The lines between its label and the branch back.</param>
internal sealed partial record PtxLoop(IReadOnlyList<string> Instructions)
{
    public int SharedLoads => Count("ld.shared");

    /// <summary>Fused multiply-adds, and pairs of a multiplication and an addition that the assembler may fuse.</summary>
    public int MultiplyAdds => Count("fma.") + Math.Min(Count("mul.f32") + Count("mul.ftz.f32"), Count("add.f32") + Count("add.ftz.f32"));

    public int Count(string prefix) => Instructions.Count(line => line.StartsWith(prefix, StringComparison.Ordinal));

    /// <summary>All loops that hold no other loop.</summary>
    public static IReadOnlyList<PtxLoop> Find(string ptx) => Find(ptx, (outer, inner) => inner != outer && inner.Start >= outer.Start && inner.End <= outer.End);

    /// <summary>All loops that no other loop holds.</summary>
    public static IReadOnlyList<PtxLoop> FindOutermost(string ptx) =>
        Find(ptx, (inner, outer) => inner != outer && inner.Start >= outer.Start && inner.End <= outer.End);

    /// <summary>The smallest loop that has all the products on tensor cores; null where there is none.</summary>
    public static PtxLoop? FindProducts(string ptx)
    {
        PtxLoop[] loops = Find(ptx, (_, _) => false);
        int most = loops.Select(loop => loop.Count("mma.")).DefaultIfEmpty(0).Max();
        return most == 0 ? null : loops.Where(loop => loop.Count("mma.") == most).MinBy(loop => loop.Instructions.Count);
    }

    private static PtxLoop[] Find(string ptx, Func<(int Start, int End), (int Start, int End), bool> excludes)
    {
        string[] lines = [.. ptx.Split('\n').Select(line => line.Trim())];
        var labels = new Dictionary<string, int>();
        for (int i = 0; i < lines.Length; i++)
        {
            if (Label().Match(lines[i]) is { Success: true } label)
                labels[label.Groups[1].Value] = i;
        }

        List<(int Start, int End)> loops = [];
        for (int i = 0; i < lines.Length; i++)
        {
            if (Branch().Match(lines[i]) is { Success: true } branch && labels.TryGetValue(branch.Groups[1].Value, out int start) && start < i)
                loops.Add((start, i));
        }

        return
        [
            .. loops
                .Where(loop => !loops.Any(other => excludes(loop, other)))
                .Select(loop => new PtxLoop(lines[loop.Start..loop.End])),
        ];
    }

    [GeneratedRegex(@"^(\w+):$")]
    private static partial Regex Label();

    [GeneratedRegex(@"\bbra(?:\.uni)?\s+(\w+);$")]
    private static partial Regex Branch();
}
