using AttentionGpu.Elements;
using AttentionGpu.Memory;

namespace AttentionGpu.Problems;

/// <summary>
/// Keys that every query sees beside the others, whatever hides those: one of the caller's, and one of zeros whose value is zeros. They
/// join a finished attention by the logarithms of its rows' sums, so that no attention kernel knows them.
/// </summary>
internal readonly record struct ExtraKeysSignature : ISignature<ExtraKeysExtent, ExtraKeysBuffers>
{
    // 0 for none, else the stage plus 1: a nullable enumeration would be boxed wherever signatures are compared.
    private readonly int _scores;

    /// <summary>How queries, the caller's key and value, outputs and scores are stored.</summary>
    public required ElementType Element { get; init; }

    public required int HeadSize { get; init; }

    public required int ValueHeadSize { get; init; }

    /// <summary>Query heads that share a key/value head.</summary>
    public required int GroupSize { get; init; }

    /// <summary>Whether there is a key of the caller's.</summary>
    public bool HasKey { get; init; }

    /// <summary>Whether there is a key of zeros.</summary>
    public bool HasZeroKey { get; init; }

    /// <summary>Whether scores are bounded.</summary>
    public bool HasSoftcap { get; init; }

    /// <summary>Which scores are asked for; null for none. Averages are made from the weights of each head.</summary>
    public ScoreStage? Scores
    {
        get => _scores == 0 ? null : (ScoreStage)(_scores - 1);
        init => _scores = value is { } stage ? (int)stage + 1 : 0;
    }

    /// <summary>How many keys there are.</summary>
    public int Count => (HasKey ? 1 : 0) + (HasZeroKey ? 1 : 0);

    /// <summary>Whether scores are shares of a row's sum, which the extra keys make smaller.</summary>
    public bool HasWeights => Scores is ScoreStage.Weights or ScoreStage.AverageWeights;
}

/// <summary>The sizes, strides and numbers of one call.</summary>
internal readonly struct ExtraKeysExtent
{
    public required int Batch { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Queries of a batch entry; all ragged sequences are one.</summary>
    public required int Length { get; init; }

    /// <summary>Keys of the finished attention: columns of its scores.</summary>
    public required int KeyLength { get; init; }

    public required float Scale { get; init; }

    /// <summary>What scores are bounded by.</summary>
    public float Softcap { get; init; }

    public required TensorLayout Query { get; init; }

    public required TensorLayout Output { get; init; }

    public required TensorLayout LogSumExp { get; init; }

    public bool IsEmpty => Batch == 0 || Length == 0;

    /// <summary>Rows of all heads.</summary>
    public long Rows => (long)Batch * Heads * Length;

    /// <summary>Scores of the finished attention.</summary>
    public long StoredScores => Rows * KeyLength;

    /// <summary>Scores with those of the extra keys; fewer where they are averages.</summary>
    public long ScoreCount(in ExtraKeysSignature signature) =>
        (signature.Scores == ScoreStage.AverageWeights ? (long)Batch * Length : Rows) * (KeyLength + signature.Count);
}

/// <summary>The memory that a plan runs on.</summary>
internal readonly struct ExtraKeysBuffers
{
    public DeviceMemory Query { get; init; }

    /// <summary>[key/value heads, head size]: the caller's key.</summary>
    public DeviceMemory Key { get; init; }

    /// <summary>[key/value heads, value head size]: its value.</summary>
    public DeviceMemory Value { get; init; }

    /// <summary>The finished attention's output, which is changed.</summary>
    public DeviceMemory Output { get; init; }

    /// <summary>The finished attention's logarithms of sums, which are changed.</summary>
    public DeviceMemory LogSumExp { get; init; }

    /// <summary>[batch, heads, length, key length]: the finished attention's scores.</summary>
    public DeviceMemory StoredScores { get; init; }

    /// <summary>The scores with those of the extra keys behind them.</summary>
    public DeviceMemory Scores { get; init; }
}
