namespace AttentionGpu.Kernels.TensorCores;

/// <summary>Columns of the tiles in shared memory, as a compile-time constant: head sizes up to it, padded with zeros.</summary>
public interface ITensorSize
{
    /// <summary>Columns; 64 or 128.</summary>
    static abstract int Columns { get; }
}

/// <summary>Head sizes up to 64: 24 KB of shared memory.</summary>
public struct TensorSize64 : ITensorSize
{
    /// <inheritdoc/>
    public static int Columns => 64;
}

/// <summary>Head sizes up to 128: 48 KB of shared memory.</summary>
public struct TensorSize128 : ITensorSize
{
    /// <inheritdoc/>
    public static int Columns => 128;
}
