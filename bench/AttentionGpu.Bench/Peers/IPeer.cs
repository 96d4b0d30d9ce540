namespace AttentionGpu.Bench.Peers;

/// <summary>Another library's way to do a computation.</summary>
internal interface IPeer : IDisposable
{
    /// <summary>The library's name.</summary>
    string Library { get; }

    /// <summary>One call.</summary>
    void Run();

    /// <summary>What the last call has written, in our order.</summary>
    float[] Output();
}
