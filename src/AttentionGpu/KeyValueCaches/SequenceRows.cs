using AttentionGpu.Memory;

namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// The rows of a sequence in host memory, as the cache stores them: for each of the cache's memories [head][row][bytes]. Neither pages nor
/// the room behind the rows are in it, so that it fits every cache with the same layers, heads, sizes and element type.
/// </summary>
/// <param name="store">The memory of the cache.</param>
/// <param name="memory">The device's memory.</param>
/// <param name="heads">Heads of keys and values.</param>
/// <param name="pageRows">Rows of a page.</param>
internal readonly struct SequenceRows(KeyValueStore store, IDeviceMemory memory, int heads, int pageRows)
{
    /// <summary>Copies rows from the device: those of one of the cache's memories.</summary>
    /// <param name="index">The number of the memory.</param>
    /// <param name="pages">The pages of the sequence.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="target">[head][row][bytes].</param>
    public void Download(int index, ReadOnlySpan<int> pages, int rows, Span<byte> target) =>
        Copy(index, pages, rows, target, isUpload: false);

    /// <summary>Copies rows to the device. Parameters as for <see cref="Download"/>.</summary>
    public void Upload(int index, ReadOnlySpan<int> pages, int rows, Span<byte> source) =>
        Copy(index, pages, rows, source, isUpload: true);

    private void Copy(int index, ReadOnlySpan<int> pages, int rows, Span<byte> host, bool isUpload)
    {
        (SharedMemory shared, int rowBytes) = store.Memories[index];
        DeviceMemory device = shared.Peek();
        for (int i = 0; i < pages.Length; i++)
        {
            int first = i * pageRows;
            int bytes = Math.Min(rows - first, pageRows) * rowBytes;
            for (int head = 0; head < heads; head++)
            {
                DeviceMemory part = device.Slice<byte>(store.FirstRow(pages[i], head) * rowBytes, bytes);
                Span<byte> ofHost = host.Slice((head * rows + first) * rowBytes, bytes);
                if (isUpload)
                    memory.Upload(ofHost, part);
                else
                    memory.Download(part, ofHost);
            }
        }
    }
}
