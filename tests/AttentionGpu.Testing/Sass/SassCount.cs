namespace AttentionGpu.Kernels.Tests.Sass;

/// <summary>Instructions that a warp issues, by name and by kind. Those whose predicate is always false are among them.</summary>
internal sealed class SassCount
{
    private readonly Dictionary<string, long> _names = [];
    private readonly Dictionary<SassKind, long> _kinds = [];

    /// <param name="times">How often each block runs.</param>
    public SassCount(IEnumerable<KeyValuePair<SassBlock, long>> times)
    {
        foreach ((SassBlock block, long runs) in times)
        {
            foreach (SassInstruction instruction in block.Instructions)
            {
                Total += runs;
                if (instruction.IsNever)
                {
                    Never += runs;
                    continue;
                }

                _names[instruction.Name] = _names.GetValueOrDefault(instruction.Name) + runs;
                _kinds[instruction.Kind] = _kinds.GetValueOrDefault(instruction.Kind) + runs;
            }
        }
    }

    public long Total { get; }

    /// <summary>Instructions whose predicate is always false.</summary>
    public long Never { get; }

    public IReadOnlyDictionary<string, long> Names => _names;

    public long Of(SassKind kind) => _kinds.GetValueOrDefault(kind);

    public long Of(params ReadOnlySpan<SassKind> kinds)
    {
        long sum = 0;
        foreach (SassKind kind in kinds)
            sum += Of(kind);
        return sum;
    }
}
