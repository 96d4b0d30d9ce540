using AttentionGpu.Backends.Simd.Memory;

namespace AttentionGpu.Backends.Simd.Threads;

/// <summary>Parallel work whose threads each have memory of their own while they take items: a slot of the call's workspace.</summary>
internal abstract unsafe class WorkspaceWork : ParallelWork
{
    private ThreadWorkspace _workspace;
    private float* _memory;
    private int _lastSlot;

    /// <summary>The memory that all threads share.</summary>
    protected float* Shared => _memory;

    public sealed override void Work()
    {
        // The pool lets in as many threads as the run may take, so there is a slot for each.
        float* slot = _workspace.Slot(_memory, Interlocked.Increment(ref _lastSlot));
        while (TryTake(out long item))
            Do(item, slot);
    }

    /// <summary>Takes the memory for the runs of a call.</summary>
    protected void Take(in ThreadWorkspace workspace, float* memory)
    {
        _workspace = workspace;
        _memory = memory;
    }

    /// <summary>Does items 0 to <paramref name="count"/> - 1, on as many threads as the workspace has slots at most.</summary>
    protected void Run(long count, double operations)
    {
        _lastSlot = -1;
        Run(count, _workspace.Slots, operations);
    }

    /// <summary>Does one item.</summary>
    /// <param name="item">Its number.</param>
    /// <param name="memory">The thread's slot; its contents are undefined.</param>
    protected abstract void Do(long item, float* memory);
}
