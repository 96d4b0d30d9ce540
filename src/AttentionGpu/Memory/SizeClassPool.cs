using System.Numerics;

namespace AttentionGpu.Memory;

/// <summary>
/// Keeps returned blocks for the next request of the same size class: four classes to a power of two, so at most a fifth of a block is
/// unused. Safe for many threads.
/// </summary>
internal sealed class SizeClassPool<TBlock>(Func<long, TBlock> allocate)
    where TBlock : class
{
    private const int SmallestClassBytes = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Stack<TBlock>> _free = [];

    /// <summary>The size of the blocks that serve a request: at least as much, and at least 256 bytes.</summary>
    public static long ClassSize(long byteLength)
    {
        if (byteLength <= SmallestClassBytes)
            return SmallestClassBytes;
        long step = 1L << (BitOperations.Log2((ulong)byteLength - 1) - 2);
        return (byteLength + step - 1) / step * step;
    }

    public TBlock Rent(long byteLength)
    {
        long size = ClassSize(byteLength);
        lock (_lock)
        {
            if (_free.TryGetValue(size, out Stack<TBlock>? blocks) && blocks.TryPop(out TBlock? block))
                return block;
        }

        return allocate(size);
    }

    public void Return(TBlock block, long size)
    {
        lock (_lock)
        {
            if (!_free.TryGetValue(size, out Stack<TBlock>? blocks))
                _free.Add(size, blocks = new Stack<TBlock>());
            blocks.Push(block);
        }
    }

    /// <summary>Lets go of all free blocks and hands each to <paramref name="release"/>.</summary>
    public void Clear(Action<TBlock> release)
    {
        lock (_lock)
        {
            foreach (TBlock block in _free.Values.SelectMany(blocks => blocks))
                release(block);
            _free.Clear();
        }
    }
}
