using System.Runtime.CompilerServices;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>Elements between neighbours of a mask's data along each axis; 0 where the mask is broadcast.</summary>
public struct MaskStrides
{
    /// <summary>From one batch entry to the next.</summary>
    public long Batch;

    /// <summary>From one query head to the next.</summary>
    public long Head;

    /// <summary>From one query to the next.</summary>
    public long Query;

    /// <summary>From one key to the next: 1, or 0 where the mask is the same for all keys.</summary>
    public long Key;

    /// <summary>The element for one query and key.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Offset(int batch, int head, int query, int key) =>
        batch * Batch + head * Head + query * Query + key * Key;
}
