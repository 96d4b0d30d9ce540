using AttentionGpu.Kernels.TensorCore.Tiles;

namespace AttentionGpu.Kernels.TensorCore.Attention;

/// <summary>What a group of four warps computes at a time: its queries, and a block of keys and values.</summary>
/// <remarks>
/// A warp of 32 queries uses each key that it reads from shared memory twice: with 16, shared memory would be the bound (128 bytes a cycle
/// and multiprocessor). Above a head size of 128 a thread has no registers for 32 rows of outputs.
/// </remarks>
/// <param name="RowTiles">Tiles of 16 queries of a warp.</param>
/// <param name="Keys">Keys of a block.</param>
/// <param name="HeadSize">Elements of a key.</param>
/// <param name="ValueHeadSize">Elements of a value.</param>
public sealed record AttentionTile(int RowTiles, int Keys, int HeadSize, int ValueHeadSize)
{
    /// <summary>Warps of a group.</summary>
    public const int Warps = 4;

    /// <summary>Threads of a group.</summary>
    public const int Threads = Warps * 32;

    /// <summary>Rows of a product's tile.</summary>
    public const int TileRows = 16;

    /// <summary>The largest size of a query, key or value.</summary>
    public const int MaxHeadSize = 256;

    private const int Unit = 128;

    /// <summary>Queries of a group.</summary>
    public int Queries => Warps * RowTiles * TileRows;

    /// <summary>The queries in shared memory.</summary>
    public SharedTile Query => new(Queries, HeadSize);

    /// <summary>The keys in shared memory.</summary>
    public SharedTile Key => new(Keys, HeadSize);

    /// <summary>The values in shared memory.</summary>
    public SharedTile Value => new(Keys, ValueHeadSize);

    /// <summary>The outputs, which take the place of all others at the end.</summary>
    public SharedTile Output => new(Queries, ValueHeadSize);

    /// <summary>Where the keys start.</summary>
    public int KeyStart => RoundUp(Query.Bytes);

    /// <summary>Where the values start.</summary>
    public int ValueStart => KeyStart + RoundUp(Key.Bytes);

    /// <summary>Shared memory of a group.</summary>
    public int SharedBytes => Math.Max(ValueStart + RoundUp(Value.Bytes), Output.Bytes);

    /// <summary>The most queries of a call that a short tile has in one group.</summary>
    public static int ShortQueries => Warps * TileRows;

    /// <summary>The tile for a form.</summary>
    public static AttentionTile For(AttentionForm form)
    {
        int size = Math.Max(form.HeadSize, form.ValueHeadSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, MaxHeadSize);
        bool isNarrow = size <= 64;
        int rowTiles = form.IsShort || size > 128 ? 1 : 2;
        return new AttentionTile(rowTiles, isNarrow ? 64 : 32, form.HeadSize, form.ValueHeadSize);
    }

    private static int RoundUp(int bytes) => (bytes + Unit - 1) / Unit * Unit;
}
