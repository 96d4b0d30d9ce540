using System.Runtime.InteropServices;
using AttentionGpu.Memory;

namespace AttentionGpu.KeyValueCaches;

/// <summary>The page numbers of all sequences of a paged cache, on the device: [sequences, pages of the longest sequence].</summary>
internal sealed class PageTable
{
    private readonly int _pagesPerSequence;

    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    public PageTable(EngineLifetime lifetime, KeyValueCacheOptions options)
    {
        _pagesPerSequence = options.PagesPerSequence;
        Memory = SharedMemory.Rent(lifetime, (long)options.Sequences * _pagesPerSequence * sizeof(int));
    }

    public SharedMemory Memory { get; }

    /// <summary>Writes the page numbers of a sequence from one on. Work that was started before reads the old ones.</summary>
    public void Write(int slot, int first, ReadOnlySpan<int> pages)
    {
        if (pages.IsEmpty)
            return;
        DeviceMemory target = Memory.Peek().Slice<int>((long)slot * _pagesPerSequence + first, pages.Length);
        Memory.Lifetime.Memory.Upload(MemoryMarshal.AsBytes(pages), target);
    }
}
