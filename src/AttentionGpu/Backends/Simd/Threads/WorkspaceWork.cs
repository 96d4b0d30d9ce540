using System.Collections.Concurrent;
using AttentionGpu.Backends.Simd.Memory;

namespace AttentionGpu.Backends.Simd.Threads;

/// <summary>Parallel work whose threads each have memory of their own while they take items.</summary>
internal abstract unsafe class WorkspaceWork : ParallelWork
{
    private static readonly ConcurrentBag<AlignedMemory> _workspaces = [];

    /// <summary>Floats that a thread needs for the items of the current run; 0 for none.</summary>
    protected abstract long WorkspaceSize { get; }

    public sealed override void Work()
    {
        AlignedMemory? memory = WorkspaceSize == 0 ? null : AlignedMemory.Rent(_workspaces, WorkspaceSize);
        try
        {
            while (TryTake(out long item))
                Do(item, memory == null ? null : memory.Address);
        }
        finally
        {
            if (memory != null)
                _workspaces.Add(memory);
        }
    }

    /// <summary>Does one item.</summary>
    /// <param name="item">Its number.</param>
    /// <param name="memory">The thread's memory; its contents are undefined.</param>
    protected abstract void Do(long item, float* memory);
}
