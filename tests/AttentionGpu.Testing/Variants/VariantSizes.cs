namespace AttentionGpu.Tests.Variants;

/// <summary>The sizes of a problem. Lengths are those of each ragged sequence; of a batch, whose entries are alike, there is one.</summary>
internal sealed record VariantSizes(
    int Batch, int KeyValueHeads, int Group, int HeadSize, int ValueSize, int[] QueryLengths, int[] KeyLengths, int PastLength = 1)
{
    /// <summary>Random sizes that the kind can have.</summary>
    public static VariantSizes Draw(VariantKind kind, Random random, int maxLength)
    {
        int headSize = kind.Rotary == RotaryForm.None ? random.Next(1, 41) : 2 * random.Next(2, 17);
        bool ragged = kind.IsRagged;
        int sequences = ragged ? random.Next(1, 5) : 1;
        int first = ragged ? 0 : 1;
        int longest = kind.FewQueries ? 4 : maxLength;
        return new VariantSizes(
            kind.AxesLeftOut > 0 ? 1 : random.Next(1, 4), kind.AxesLeftOut > 1 ? 1 : random.Next(1, 3),
            kind.Grouped ? random.Next(2, 4) : 1, headSize,
            kind.OwnValueSize ? random.Next(1, 70) : headSize,
            [.. Enumerable.Range(0, sequences).Select(_ => random.Next(first, longest + 1))],
            [.. Enumerable.Range(0, sequences).Select(_ => random.Next(first, maxLength + 1))], random.Next(1, maxLength));
    }
}
