using System.Diagnostics;

namespace AttentionGpu.Hosting.Scheduling;

/// <summary>What waits in a <see cref="FairQueue{T}"/>: who it is for, and how much it takes.</summary>
/// <typeparam name="T">The type itself.</typeparam>
internal abstract class QueueItem<T>
    where T : QueueItem<T>
{
    protected QueueItem() => Node = new LinkedListNode<T>((T)this);

    /// <summary>Whom the item is for. Items of one client and one group are a flow, and keep their order.</summary>
    public required string Client { get; init; }

    /// <summary>What items have in common that can run together: the layer.</summary>
    public abstract object Group { get; }

    /// <summary>What the item costs.</summary>
    public required int Tokens { get; init; }

    /// <summary>Memory of the caller that the item keeps alive.</summary>
    public abstract long Bytes { get; }

    /// <summary>When it came, in ticks of <see cref="Stopwatch"/>.</summary>
    public long Arrived { get; } = Stopwatch.GetTimestamp();

    /// <summary>Whether the item has ended, and is not to be queued.</summary>
    public abstract bool IsEnded { get; }

    /// <summary>The item's place among those that came, while it waits.</summary>
    public long Sequence { get; set; }

    /// <summary>The flow that the item waits in; null when it does not wait.</summary>
    public Flow<T>? Flow { get; set; }

    /// <summary>The item in its flow's list. It is made here, so that nothing is allocated while the queue changes.</summary>
    public LinkedListNode<T> Node { get; }

    /// <summary>Whether the item can run in a batch that starts with <paramref name="first"/> and has so many tokens.</summary>
    public abstract bool Joins(T first, int tokens);
}
