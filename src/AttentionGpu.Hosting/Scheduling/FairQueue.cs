namespace AttentionGpu.Hosting.Scheduling;

/// <summary>
/// Decides whose turn is next: weighted fair queueing (Demers, Keshav and Shenker, 1989) with equal weights. Not safe for several threads.
/// </summary>
/// <remarks>
/// <para>
/// The items of one client and one layer are a flow, and run in their order. Time is virtual: it goes by one token when each of the flows
/// that wait has been served one token. An item that becomes its flow's first starts at the present time, or where the flow's last item
/// ended if that is later, and is finished as many tokens after. The earliest finish is next. So a flow that has taken less than its share
/// goes before those that have taken more, however many items these have; a flow that was idle has no claim to the time when it did not
/// ask.
/// </para>
/// <para>
/// The item whose turn it is starts a batch; those that can run with it join in the order of their turns. Each member of a batch waits for
/// all of it, so beside other flows a batch has at most the first item's tokens times the flows that wait: what the first item would wait
/// for on a device that is shared equally. A sixteenth of the limit may always be joined. Where one flow waits alone, a batch has as many
/// tokens as the limit. An item above the limit runs by itself.
/// </para>
/// <para>
/// A flow whose head cannot join is passed by, and is before those that passed it in the next batch. So an item waits for the batch that
/// runs, for its share, and for at most one batch of each other layer.
/// </para>
/// </remarks>
internal sealed class FairQueue<T>
    where T : QueueItem<T>
{
    // A batch may take longer than its first item's share for this part of the limit: below it, joining costs a device next to nothing.
    private const int FreePart = 16;

    // Bounds the time that a batch takes to put together.
    private const int MostPassed = 256;

    private const int FewestFlowsToSweep = 64;

    private readonly Dictionary<(object Group, string Client), Flow<T>> _flows = [];
    private readonly FlowHeap<T> _waiting = new();
    private readonly List<Flow<T>> _passed = new(MostPassed);
    private double _time;
    private long _sequence;
    private int _sweepAbove = FewestFlowsToSweep;

    /// <summary>Items that wait.</summary>
    public int Count { get; private set; }

    /// <summary>Tokens of the items that wait.</summary>
    public long Tokens { get; private set; }

    /// <summary>Bytes of the items that wait.</summary>
    public long Bytes { get; private set; }

    /// <summary>Flows that are remembered, those that are idle included.</summary>
    public int Flows => _flows.Count;

    /// <summary>Queues an item. If memory runs out, nothing has changed.</summary>
    public void Add(T item)
    {
        (object, string) key = (item.Group, item.Client);
        if (!_flows.TryGetValue(key, out Flow<T>? flow))
            _flows.Add(key, flow = new Flow<T>());
        bool wasIdle = flow.Items.Count == 0;
        item.Sequence = _sequence++;
        flow.Items.AddLast(item.Node);
        if (wasIdle)
        {
            flow.Start = Math.Max(flow.Start, _time);
            try
            {
                _waiting.Add(flow);
            }
            catch
            {
                flow.Items.Remove(item.Node);
                throw;
            }
        }

        item.Flow = flow;
        Count++;
        Tokens += item.Tokens;
        Bytes += item.Bytes;
    }

    /// <summary>Takes an item out that is no longer wanted, wherever it stands. Its flow is charged nothing.</summary>
    public void Remove(T item)
    {
        if (item.Flow is not { } flow)
            return;
        bool wasHead = flow.Head == item;
        if (wasHead && flow.Items.Count == 1)
            _waiting.Remove(flow);
        Forget(item);
        if (wasHead && flow.Items.Count > 0)
            _waiting.Update(flow);
    }

    /// <summary>Whether all that waits can run as one batch that has room for more.</summary>
    /// <param name="limit">Tokens of a batch.</param>
    /// <param name="oldest">When the first of them came.</param>
    public bool IsOneBatchWithRoom(int limit, out long oldest)
    {
        oldest = long.MaxValue;
        if (Count == 0 || Tokens >= limit)
            return false;
        T first = _waiting.Top.Head;
        int tokens = 0;
        foreach (Flow<T> flow in _waiting.Flows)
        {
            foreach (T item in flow.Items)
            {
                if (!item.Joins(first, tokens))
                    return false;
                tokens += item.Tokens;
                oldest = Math.Min(oldest, item.Arrived);
            }
        }

        return true;
    }

    /// <summary>Takes the next batch.</summary>
    /// <param name="most">Items of a batch.</param>
    /// <param name="limit">Tokens of a batch, unless its first item alone has more.</param>
    /// <param name="batch">Where the items go; it is empty, and has room for <paramref name="most"/>.</param>
    public void Take(int most, int limit, List<T> batch)
    {
        if (Count == 0)
            return;
        int flows = _waiting.Count;
        T first = _waiting.Top.Head;
        long share = flows == 1 ? limit : Math.Clamp((long)first.Tokens * flows, Math.Max(1, limit / FreePart), limit);
        int tokens = Serve(_waiting.Top, batch);
        while (_waiting.Count > 0 && batch.Count < most && tokens < share && _passed.Count < MostPassed)
        {
            Flow<T> flow = _waiting.Top;
            if (flow.Head.Tokens <= share - tokens && flow.Head.Joins(first, tokens))
            {
                tokens += Serve(flow, batch);
                continue;
            }

            _waiting.Remove(flow);
            _passed.Add(flow);
        }

        foreach (Flow<T> flow in _passed)
            _waiting.Add(flow);
        _passed.Clear();
        _time += (double)tokens / flows;
        Sweep();
    }

    /// <summary>Forgets who was served how much. Called when nothing waits or runs: nobody has a claim then.</summary>
    public void Rest()
    {
        _flows.Clear();
        _time = 0;
    }

    /// <summary>Takes all that waits.</summary>
    public IReadOnlyList<T> Drain()
    {
        T[] all = [.. _waiting.Flows.SelectMany(flow => flow.Items).OrderBy(item => item.Sequence)];
        foreach (T item in all)
            Remove(item);
        return all;
    }

    private int Serve(Flow<T> flow, List<T> batch)
    {
        T item = flow.Head;
        if (flow.Items.Count == 1)
            _waiting.Remove(flow);
        Forget(item);
        flow.Start += item.Tokens;
        if (flow.Items.Count > 0)
            _waiting.Update(flow);
        batch.Add(item);
        return item.Tokens;
    }

    private void Forget(T item)
    {
        item.Flow!.Items.Remove(item.Node);
        item.Flow = null;
        Count--;
        Tokens -= item.Tokens;
        Bytes -= item.Bytes;
    }

    // A flow that is idle matters only while it has had more than its share.
    private void Sweep()
    {
        if (_flows.Count <= _sweepAbove)
            return;
        foreach (((object, string) key, Flow<T> flow) in _flows)
        {
            if (flow.Items.Count == 0 && flow.Start <= _time)
                _flows.Remove(key);
        }

        _sweepAbove = Math.Max(FewestFlowsToSweep, 2 * _flows.Count);
    }
}
