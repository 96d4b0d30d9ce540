namespace AttentionGpu.Hosting.Scheduling;

/// <summary>
/// A binary heap of the flows that have items; the one whose turn is next is on top. Only <see cref="Add"/> may allocate.
/// </summary>
internal sealed class FlowHeap<T>
    where T : QueueItem<T>
{
    private readonly List<Flow<T>> _flows = [];

    /// <summary>The flows, in no order of use.</summary>
    public IReadOnlyList<Flow<T>> Flows => _flows;

    public int Count => _flows.Count;

    /// <summary>The flow whose turn is next. There must be one.</summary>
    public Flow<T> Top => _flows[0];

    public void Add(Flow<T> flow)
    {
        _flows.Add(flow);
        flow.Index = _flows.Count - 1;
        Rise(flow);
    }

    public void Remove(Flow<T> flow)
    {
        int index = flow.Index;
        Flow<T> last = _flows[^1];
        _flows.RemoveAt(_flows.Count - 1);
        flow.Index = -1;
        if (last == flow)
            return;
        Put(last, index);
        Update(last);
    }

    /// <summary>Moves a flow to its place after its head or its start has changed.</summary>
    public void Update(Flow<T> flow)
    {
        Rise(flow);
        Sink(flow);
    }

    private void Rise(Flow<T> flow)
    {
        while (flow.Index > 0)
        {
            int index = flow.Index;
            Flow<T> parent = _flows[(index - 1) / 2];
            if (!flow.IsBefore(parent))
                return;
            Put(flow, parent.Index);
            Put(parent, index);
        }
    }

    private void Sink(Flow<T> flow)
    {
        while (true)
        {
            int index = flow.Index;
            int child = (2 * index) + 1;
            if (child >= _flows.Count)
                return;
            if (child + 1 < _flows.Count && _flows[child + 1].IsBefore(_flows[child]))
                child++;
            Flow<T> first = _flows[child];
            if (!first.IsBefore(flow))
                return;
            Put(first, index);
            Put(flow, child);
        }
    }

    private void Put(Flow<T> flow, int index)
    {
        _flows[index] = flow;
        flow.Index = index;
    }
}
