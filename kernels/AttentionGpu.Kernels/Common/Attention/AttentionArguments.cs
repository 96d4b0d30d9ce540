using AttentionGpu.Kernels.Common.Layouts;
using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Attention;

/// <summary>The sizes of an attention problem and the layouts of its results, as the device sees them.</summary>
public struct AttentionArguments
{
    /// <summary>Query heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Query heads that share a head of keys and values; at least 1.</summary>
    public int GroupSize;

    /// <summary>Queries of a head; of the longest sequence where they differ.</summary>
    public int QueryLength;

    /// <summary>Every batch entry's lengths and positions, unless there is a table.</summary>
    public Sequence Sequence;

    /// <summary>Elements of a query and of a key.</summary>
    public int HeadSize;

    /// <summary>Elements of a value and of an output row.</summary>
    public int ValueHeadSize;

    /// <summary>What a dot product is multiplied by.</summary>
    public float Scale;

    /// <summary>Where the output rows go.</summary>
    public RowLayout Output;

    /// <summary>Where the logarithms of the sums go.</summary>
    public RowLayout LogSumExp;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Not 0 where each head has a sink.</summary>
    public int HasSinks;

    /// <summary>Not 0 where the logarithms of the sums are asked for.</summary>
    public int HasLogSumExp;
}
