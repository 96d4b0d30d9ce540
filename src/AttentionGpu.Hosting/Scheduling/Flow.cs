namespace AttentionGpu.Hosting.Scheduling;

/// <summary>The items of one client and one group, in the order in which they came.</summary>
internal sealed class Flow<T>
    where T : QueueItem<T>
{
    public LinkedList<T> Items { get; } = [];

    /// <summary>The item whose turn is next. There must be one.</summary>
    public T Head => Items.First!.Value;

    /// <summary>The virtual time up to which the flow has been served, in tokens of each of the flows that share a device.</summary>
    public double Start { get; set; }

    /// <summary>The virtual time at which the head would be finished.</summary>
    public double Finish => Start + Head.Tokens;

    /// <summary>The flow's index in a <see cref="FlowHeap{T}"/>; -1 outside.</summary>
    public int Index { get; set; } = -1;

    /// <summary>Whether the flow's turn is before that of another one: it would be finished earlier, or came earlier.</summary>
    public bool IsBefore(Flow<T> other)
    {
        (double mine, double theirs) = (Finish, other.Finish);
        return mine < theirs || (mine == theirs && Head.Sequence < other.Head.Sequence);
    }
}
