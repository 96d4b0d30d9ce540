using AttentionGpu.Kernels.Layouts;

namespace AttentionGpu.Kernels.Attention;

/// <summary>The sizes and layouts of an attention problem, as the device sees them.</summary>
public struct AttentionShape
{
    /// <summary>Query heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Queries of a head.</summary>
    public int QueryLength;

    /// <summary>Keys and values of a head.</summary>
    public int KeyLength;

    /// <summary>Elements of a query and of a key.</summary>
    public int HeadSize;

    /// <summary>Elements of a value and of an output row.</summary>
    public int ValueHeadSize;

    /// <summary>What a dot product is multiplied by.</summary>
    public float Scale;

    /// <summary>Where the queries of each (batch, head) lie.</summary>
    public RowLayout Query;

    /// <summary>Where the keys lie; heads of a group share them.</summary>
    public RowLayout Key;

    /// <summary>Where the values lie; heads of a group share them.</summary>
    public RowLayout Value;

    /// <summary>Where the output rows go.</summary>
    public RowLayout Output;
}
