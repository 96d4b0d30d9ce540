namespace AttentionGpu.Bench.Peers;

/// <summary>One computation, ours and ONNX Runtime's ways to do the same, on the same inputs.</summary>
internal sealed class Comparison : IDisposable
{
    // Of the largest value: sums of a thousand products in another order.
    private const double Tolerance = 2e-5;

    private readonly List<(OnnxRuntimeModel Model, Func<float[]> Output)> _peers = [];

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

    /// <summary>One call of each of the peer's ways.</summary>
    public IEnumerable<Action> Theirs => _peers.Select(peer => (Action)peer.Model.Run);

    /// <summary>Adds one of the peer's ways.</summary>
    /// <param name="model">The model.</param>
    /// <param name="output">What it has written, in our order.</param>
    public void Add(OnnxRuntimeModel model, Func<float[]> output) => _peers.Add((model, output));

    /// <summary>Runs all once and compares the results: what differs must not be timed.</summary>
    /// <exception cref="InvalidOperationException">A result differs.</exception>
    public void Check()
    {
        Ours();
        foreach ((OnnxRuntimeModel model, Func<float[]> output) in _peers)
        {
            model.Run();
            float[] expected = output();
            float largest = expected.Max(Math.Abs);
            float difference = Output.Zip(expected, (left, right) => Math.Abs(left - right)).Max();
            if (!(difference <= Tolerance * largest))
                throw new InvalidOperationException($"Results differ by {difference}, with values up to {largest}: there is nothing to time.");
        }
    }

    public void Dispose()
    {
        foreach ((OnnxRuntimeModel model, _) in _peers)
            model.Dispose();
        Owned?.Dispose();
    }
}
