namespace AttentionGpu.Kernels.Common.Sequences;

/// <summary>
/// Where the queries and keys of one batch entry lie, how many there are, and how their positions relate. The same for all entries, or one
/// from a table where entries differ: key lengths of their own, or sequences one after another.
/// </summary>
public record struct Sequence
{
    /// <summary>The row of the first query; not 0 where sequences are ragged.</summary>
    public int QueryStart;

    /// <summary>Queries of a head.</summary>
    public int QueryLength;

    /// <summary>The row of the first key and value.</summary>
    public int KeyStart;

    /// <summary>Keys and values of a head; what lies behind them is never read.</summary>
    public int KeyLength;

    /// <summary>Under a causal range query i sees the keys up to i plus this.</summary>
    public int CausalOffset;

    /// <summary>Keys that a causal range with a prefix shows to every query.</summary>
    public int PrefixLength;

    /// <summary>Query i stands at key i plus this in a window.</summary>
    public int WindowOffset;

    /// <summary>Query i stands at key i plus this for a bias by distance.</summary>
    public int DistanceOffset;

    /// <summary>Keys that a window has dropped from before the first one: key i has position i plus this.</summary>
    public int DroppedKeys;
}

/// <summary>One head of one batch entry: what the scores of a (query, key) pair can depend on besides the pair.</summary>
public struct SequenceHead
{
    /// <summary>The batch entry.</summary>
    public int Batch;

    /// <summary>The query head.</summary>
    public int Head;

    /// <summary>The batch entry's lengths and positions.</summary>
    public Sequence Sequence;
}
