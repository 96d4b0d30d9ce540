namespace AttentionGpu.Kernels.TensorCore;

/// <summary>Columns of the tiles in shared memory, as a compile-time constant: head sizes up to it, padded with zeros.</summary>
public interface ITensorCoreSize
{
    /// <summary>Columns; 64 or 128.</summary>
    static abstract int Columns { get; }
}

/// <summary>Head sizes up to 64: 24 KB of shared memory.</summary>
public struct TensorCoreSize64 : ITensorCoreSize
{
    /// <inheritdoc/>
    public static int Columns => 64;
}

/// <summary>Head sizes up to 128: 48 KB of shared memory.</summary>
public struct TensorCoreSize128 : ITensorCoreSize
{
    /// <inheritdoc/>
    public static int Columns => 128;
}
