namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>
/// The basic blocks that a warp can reach. Subroutines are not among them: the assembler calls one where a reciprocal or a division of 64
/// bits has an unusual operand. Nor is what only a warp does whose threads have parted at an instruction for all of them (<c>BRA.DIV</c>).
/// </summary>
internal sealed class SassGraph
{
    private SassGraph(SassBlock[] blocks)
    {
        Blocks = blocks;
    }

    /// <summary>The blocks, by address. The first is where the kernel starts.</summary>
    public IReadOnlyList<SassBlock> Blocks { get; }

    /// <exception cref="NotSupportedException">A branch has no target that can be read.</exception>
    public static SassGraph Build(SassListing listing)
    {
        IReadOnlyList<SassInstruction> instructions = listing.Instructions;
        int[]?[] jumps = [.. instructions.Select((instruction, i) => Jumps(listing, instruction, i))];
        SortedSet<int> leaders = [instructions[0].Address];
        for (int i = 0; i < instructions.Count; i++)
        {
            if (jumps[i] is not int[] targets)
                continue;
            leaders.UnionWith(targets);
            if (Following(instructions, i) is int following)
                leaders.Add(following);
        }

        var blocks = new Dictionary<int, SassBlock>();
        var next = new Dictionary<SassBlock, int[]>();
        for (int start = 0; start < instructions.Count;)
        {
            int end = start + 1;
            while (end < instructions.Count && !leaders.Contains(instructions[end].Address))
                end++;
            var block = new SassBlock([.. instructions.Skip(start).Take(end - start)]);
            blocks.Add(block.Address, block);
            next.Add(block, jumps[end - 1] ?? (end < instructions.Count ? [instructions[end].Address] : []));
            start = end;
        }

        foreach ((SassBlock block, int[] targets) in next)
            block.Next.AddRange(targets.Distinct().Select(target => blocks[target]));
        return new SassGraph([.. Reachable(blocks[instructions[0].Address]).OrderBy(block => block.Address)]);
    }

    // Where an instruction goes; null where it goes to the one behind it.
    private static int[]? Jumps(SassListing listing, SassInstruction instruction, int index)
    {
        int? following = Following(listing.Instructions, index);
        int[] ifSkipped = instruction.IsGuarded && following is int address ? [address] : [];
        switch (instruction.Name.Split('.')[0])
        {
            case "BRA" when instruction.Name.Contains(".DIV", StringComparison.Ordinal):
                return null;
            case "CALL" when !instruction.Operands.Contains("(.L", StringComparison.Ordinal):
                return null;

            // A call of a label inside of the kernel does not return: it is how the assembler leaves a loop.
            case "BRA" or "JMP" or "CALL":
                int target = listing.Target(instruction)
                    ?? throw new NotSupportedException($"The target of '{instruction}' is not known.");
                bool hasSecondGuard = !instruction.Operands.StartsWith('`') && following is not null;
                return [target, .. ifSkipped, .. hasSecondGuard ? [following!.Value] : Array.Empty<int>()];
            case "BRX" or "JMX":
                throw new NotSupportedException($"The targets of '{instruction}' are in a table.");
            case "EXIT" or "RET":
                return ifSkipped;
            default:
                return null;
        }
    }

    private static int? Following(IReadOnlyList<SassInstruction> instructions, int index) =>
        index + 1 < instructions.Count ? instructions[index + 1].Address : null;

    private static HashSet<SassBlock> Reachable(SassBlock start)
    {
        HashSet<SassBlock> found = [start];
        var open = new Stack<SassBlock>(found);
        while (open.TryPop(out SassBlock? block))
        {
            foreach (SassBlock next in block.Next)
            {
                if (found.Add(next))
                    open.Push(next);
            }
        }

        return found;
    }
}
