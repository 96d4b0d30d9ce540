using System.Numerics;

namespace AttentionGpu.Memory;

/// <summary>
/// Keeps returned blocks for the next request of the same size class: four classes to a power of two, so at most a fifth of a new block is
/// unused. A free block of less than twice the class will do too, and one that was too small gives way to the next power of two, unless
/// they are large: a
/// service that sees ever new lengths would otherwise come to keep blocks of every class. All blocks together, in use or not, stay within
/// a limit. Safe
/// for many threads.
/// </summary>
/// <param name="allocate">Makes a block.</param>
/// <param name="release">Lets a block go.</param>
/// <param name="limit">Bytes of all blocks at most.</param>
internal sealed class SizeClassPool<TBlock>(Func<long, TBlock> allocate, Action<TBlock> release, long limit = long.MaxValue)
    where TBlock : class
{
    private const int SmallestClassBytes = 256;
    private const long LargestSharedBytes = 64 << 20;
    private const long LargestRequest = 1L << 60;

    private readonly Lock _lock = new();
    private readonly Dictionary<long, Stack<TBlock>> _free = [];
    private long _allocated;
    private long _inUse;

    /// <summary>Bytes of the blocks that are rented.</summary>
    public long BytesInUse => Interlocked.Read(ref _inUse);

    /// <summary>The size of the blocks that serve a request: at least as much, and at least 256 bytes.</summary>
    public static long ClassSize(long byteLength)
    {
        if (byteLength <= SmallestClassBytes)
            return SmallestClassBytes;
        long step = 1L << (BitOperations.Log2((ulong)byteLength - 1) - 2);
        return (byteLength + step - 1) / step * step;
    }

    /// <exception cref="AttentionMemoryException">
    /// The block does not fit under the limit, with what is in use. Nothing has changed.
    /// </exception>
    public TBlock Rent(long byteLength)
    {
        // Class sizes of lengths near the end of 64 bits would wrap.
        if (byteLength > limit || byteLength > LargestRequest)
            throw new AttentionMemoryException(byteLength, BytesInUse, limit);
        long size = ClassSize(byteLength);
        lock (_lock)
        {
            for (long free = size; free == size || (free < 2 * size && free <= LargestSharedBytes); free = ClassSize(free + 1))
            {
                if (_free.TryGetValue(free, out Stack<TBlock>? blocks) && blocks.TryPop(out TBlock? block))
                {
                    _inUse += free;
                    return block;
                }
            }

            if (size <= LargestSharedBytes && ReleaseSmaller(size))
            {
                long grown = (long)BitOperations.RoundUpToPowerOf2((ulong)size);
                size = grown <= limit - _allocated ? grown : size;
            }

            // Blocks of other sizes may lie unused.
            if (size > limit - _allocated)
                ReleaseFree();
            if (size > limit - _allocated)
                throw new AttentionMemoryException(size, _inUse, limit);
            _allocated += size;
            _inUse += size;
        }

        try
        {
            return allocate(size);
        }
        catch
        {
            lock (_lock)
            {
                _allocated -= size;
                _inUse -= size;
            }

            throw;
        }
    }

    public void Return(TBlock block, long size)
    {
        lock (_lock)
        {
            if (!_free.TryGetValue(size, out Stack<TBlock>? blocks))
                _free.Add(size, blocks = new Stack<TBlock>());
            blocks.Push(block);
            _inUse -= size;
        }
    }

    /// <summary>Lets go of all free blocks.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            ReleaseFree();
        }
    }

    // The largest block that would have been too small, and that a new one can serve for.
    private bool ReleaseSmaller(long size)
    {
        long smaller = _free.Where(blocks => blocks.Key < size && 2 * blocks.Key > size && blocks.Value.Count > 0).Max(blocks => (long?)blocks.Key) ?? 0;
        if (smaller == 0)
            return false;
        _allocated -= smaller;
        release(_free[smaller].Pop());
        return true;
    }

    private void ReleaseFree()
    {
        foreach ((long size, Stack<TBlock> blocks) in _free)
        {
            _allocated -= size * blocks.Count;
            foreach (TBlock block in blocks)
                release(block);
        }

        _free.Clear();
    }
}
