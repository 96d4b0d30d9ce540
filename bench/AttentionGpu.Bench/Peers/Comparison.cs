namespace AttentionGpu.Bench.Peers;

/// <summary>One computation, ours and other libraries' ways to do the same, on the same inputs.</summary>
internal sealed class Comparison : IDisposable
{
    // Of the largest value: sums of a thousand products in another order.
    private const double Tolerance = 2e-5;

    private readonly List<IPeer> _peers = [];

    /// <summary>Floating-point operations of a call: two a multiply-add; pairs that a causal mask hides do not count.</summary>
    public required double Operations { get; init; }

    /// <summary>Bytes of inputs, parameters and outputs, once each.</summary>
    public required double Bytes { get; init; }

    /// <summary>One call of ours.</summary>
    public required Action Ours { get; init; }

    /// <summary>What it writes.</summary>
    public required float[] Output { get; init; }

    /// <summary>What is disposed of with the comparison.</summary>
    public IDisposable? Owned { get; init; }

    /// <summary>The other libraries' ways; of one library there may be several.</summary>
    public IReadOnlyList<IPeer> Peers => _peers;

    /// <summary>Adds a way.</summary>
    public void Add(IPeer peer) => _peers.Add(peer);

    /// <summary>Runs all once and compares the results: what differs must not be timed.</summary>
    /// <exception cref="InvalidOperationException">A result differs.</exception>
    public void Check()
    {
        Ours();
        foreach (IPeer peer in _peers)
        {
            peer.Run();
            float[] expected = peer.Output();
            float largest = expected.Max(Math.Abs);
            float difference = Output.Zip(expected, (left, right) => Math.Abs(left - right)).Max();
            if (!(difference <= Tolerance * largest))
                throw new InvalidOperationException($"Results differ from {peer.Library}'s by {difference}, with values up to {largest}: there is nothing to time.");
        }
    }

    public void Dispose()
    {
        foreach (IPeer peer in _peers)
            peer.Dispose();
        Owned?.Dispose();
    }
}
