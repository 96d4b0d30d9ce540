namespace AttentionGpu.KeyValueCaches;

/// <summary>The rows of a sequence in host memory, see <see cref="SequenceRows"/>.</summary>
/// <param name="Length">Rows of the sequence.</param>
/// <param name="Dropped">Rows of them that a window has dropped: the others are here.</param>
/// <param name="Memories">[head][row][bytes] of each of the cache's memories.</param>
internal sealed record HostRows(int Length, int Dropped, IReadOnlyList<byte[]> Memories)
{
    /// <summary>Rows that are here.</summary>
    public int Count => Length - Dropped;

    /// <summary>The rows in some of the memories.</summary>
    public HostRows Part(int first, int count) => this with { Memories = [.. Memories.Skip(first).Take(count)] };

    public long ByteLength => Memories.Sum(memory => (long)memory.Length);
}
