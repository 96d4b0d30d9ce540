using System.Runtime.InteropServices;

namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>Memory of the device, as a kernel sees it.</summary>
internal interface IPtxMemory
{
    /// <summary>The bytes at an address, which is a multiple of their number.</summary>
    Span<byte> At(ulong address, int bytes);
}

/// <summary>Memory of this process, which the emulator's buffers are in. An access outside of them is not seen.</summary>
internal sealed class PtxHostMemory : IPtxMemory
{
    public unsafe Span<byte> At(ulong address, int bytes) => address % (ulong)bytes == 0
        ? new Span<byte>((void*)address, bytes)
        : throw new PtxException($"{bytes} bytes at {address:X} are not aligned");
}

/// <summary>Memory of the device: buffers at addresses far apart, so that an access outside all of them is seen.</summary>
internal sealed class PtxGlobalMemory : IPtxMemory
{
    private const ulong Distance = 1UL << 32;

    private readonly List<byte[]> _buffers = [];

    /// <summary>Puts a copy of the elements into memory, and returns their address.</summary>
    public ulong Add<T>(ReadOnlySpan<T> elements)
        where T : unmanaged
    {
        _buffers.Add(MemoryMarshal.AsBytes(elements).ToArray());
        return (ulong)_buffers.Count * Distance;
    }

    /// <summary>What lies at an address that <see cref="Add"/> returned.</summary>
    public Span<T> Get<T>(ulong address)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(_buffers[(int)(address / Distance) - 1].AsSpan());

    public Span<byte> At(ulong address, int bytes)
    {
        int buffer = (int)(address / Distance) - 1;
        ulong offset = address % Distance;
        if (buffer < 0 || buffer >= _buffers.Count || offset + (ulong)bytes > (ulong)_buffers[buffer].Length)
            throw new PtxException($"{bytes} bytes at {address:X} are outside every buffer");
        return offset % (ulong)bytes == 0
            ? _buffers[buffer].AsSpan((int)offset, bytes)
            : throw new PtxException($"{bytes} bytes at {address:X} are not aligned");
    }
}

/// <summary>
/// A group's shared memory. It knows which threads read and wrote each four bytes since the last barrier: two that do so, one of them
/// writing, are a race, in whatever order they came.
/// </summary>
internal sealed class PtxSharedMemory(int bytes)
{
    private const int Nobody = -1;
    private const int Many = -2;
    private const int Word = 4;

    // What a device's memory holds before a group starts is anything: not-a-number in every type.
    private readonly byte[] _bytes = [.. Enumerable.Repeat(PtxMachine.Poison, bytes)];
    private readonly int[] _writers = NewMarks(bytes / Word + 1);
    private readonly int[] _readers = NewMarks(bytes / Word + 1);

    public ReadOnlySpan<byte> Read(ulong address, int count, int thread)
    {
        int start = Check(address, count);
        for (int i = start / Word; i < (start + count + Word - 1) / Word; i++)
        {
            if (_writers[i] != Nobody && _writers[i] != thread)
                throw new PtxException($"a race: thread {thread} reads word {i} of shared memory, which thread {_writers[i]} writes");
            _readers[i] = _readers[i] == Nobody || _readers[i] == thread ? thread : Many;
        }

        return _bytes.AsSpan(start, count);
    }

    /// <summary>
    /// Whether a word already holds what a thread is about to write, because others have written it since the last barrier: that is no
    /// race.
    /// </summary>
    public bool Holds(ulong address, uint value)
    {
        int start = Check(address, Word);
        return _writers[start / Word] != Nobody && _readers[start / Word] == Nobody
            && BitConverter.ToUInt32(_bytes.AsSpan(start, Word)) == value;
    }

    public Span<byte> Write(ulong address, int count, int thread)
    {
        int start = Check(address, count);
        for (int i = start / Word; i < (start + count + Word - 1) / Word; i++)
        {
            if ((_writers[i] != Nobody && _writers[i] != thread) || (_readers[i] != Nobody && _readers[i] != thread))
                throw new PtxException($"a race: thread {thread} writes word {i} of shared memory, which thread {(_writers[i] == Nobody ? _readers[i] : _writers[i])} has used");
            _writers[i] = thread;
        }

        return _bytes.AsSpan(start, count);
    }

    /// <summary>All of the group have met.</summary>
    public void Barrier()
    {
        Array.Fill(_writers, Nobody);
        Array.Fill(_readers, Nobody);
    }

    private int Check(ulong address, int count) =>
        address + (ulong)count > (ulong)_bytes.Length ? throw new PtxException($"{count} bytes at {address} are outside the {_bytes.Length} of shared memory")
        : address % (ulong)count != 0 ? throw new PtxException($"{count} bytes at {address} of shared memory are not aligned")
        : (int)address;

    private static int[] NewMarks(int count)
    {
        var marks = new int[count];
        Array.Fill(marks, Nobody);
        return marks;
    }
}

/// <summary>What a kernel does wrong.</summary>
internal sealed class PtxException(string message) : Exception(message);
