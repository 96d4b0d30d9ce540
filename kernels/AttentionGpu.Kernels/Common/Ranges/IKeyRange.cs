using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Kernels.Common.Ranges;

/// <summary>
/// Which keys a query can see by position: those from <see cref="FirstKey"/> to before <see cref="EndKey"/>. Neither ever falls from one
/// query to the next, so a block of queries sees from its first query's first key to its last query's end, and the blocks outside are not
/// visited. Kernels are generic over it; the host's SIMD code asks the same structs.
/// </summary>
public interface IKeyRange
{
    /// <summary>The first key that the query can see; 0 at least.</summary>
    int FirstKey(Sequence sequence, int query);

    /// <summary>The key after the last that the query can see: 0 to the key length.</summary>
    int EndKey(Sequence sequence, int query);
}
