namespace AttentionGpu.Kernels.Tests.Ptx;

/// <summary>A thread's registers, and what it has under way.</summary>
internal sealed class PtxThread(PtxProgram program, int index)
{
    /// <summary>Copies to shared memory that have not arrived, by group; the last group is not closed.</summary>
    private readonly List<List<(ulong Target, byte[] Bytes)>> _copies = [[]];

    public int Index => index;

    public ulong[] Registers { get; } = new ulong[program.RegisterCount];

    public byte[] Local { get; } = new byte[program.LocalBytes];

    /// <summary>The next instruction; that count of instructions where the thread has ended.</summary>
    public int Next { get; set; }

    public void Copy(ulong target, byte[] bytes) => _copies[^1].Add((target, bytes));

    public void Commit() => _copies.Add([]);

    /// <summary>Lets all groups arrive but the last <paramref name="pending"/>.</summary>
    public void Wait(int pending, PtxSharedMemory shared)
    {
        while (_copies.Count - 1 > pending)
        {
            foreach ((ulong target, byte[] bytes) in _copies[0])
                bytes.CopyTo(shared.Write(target, bytes.Length, index));
            _copies.RemoveAt(0);
        }
    }
}
