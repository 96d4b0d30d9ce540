using AttentionGpu.KeyValues;

namespace AttentionGpu.Cli.Bench;

/// <summary>A step of decoding: one token for each of some sequences of a key/value cache.</summary>
internal sealed record DecodeSettings
{
    // The shared rows of the first set, and of the set that is being made.
    private const int ExtraSequences = 2;

    /// <summary>Heads of queries.</summary>
    public required int Heads { get; init; }

    /// <summary>Heads of keys and values.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Elements of a key, and of a value.</summary>
    public required int HeadSize { get; init; }

    /// <summary>Rows of each sequence before the step.</summary>
    public required int[] Lengths { get; init; }

    /// <summary>How rows are stored.</summary>
    public KeyValueElement Element { get; init; }

    /// <summary>How rows are kept.</summary>
    public KeyValueCacheKind Kind { get; init; }

    /// <summary>Rows of a page; null for the default, and for other kinds.</summary>
    public int? PageSize { get; init; }

    /// <summary>Keys that a query of a window cache sees; null for other kinds.</summary>
    public int? Window { get; init; }

    /// <summary>Rows at the start that all sequences share, in whole pages of a paged cache.</summary>
    public int SharedRows { get; init; }

    /// <summary>Multiply-adds of scores and sums, two operations each.</summary>
    public double Operations => 4.0 * Heads * HeadSize * Lengths.Sum(length => (double)VisibleRows(length));

    /// <summary>What a step reads and writes: the visible rows with their scales, and its own queries, keys, values and outputs.</summary>
    public double Bytes =>
        (DistinctRows + Lengths.Length) * RowBytes
        + (double)sizeof(float) * Lengths.Length * HeadSize * ((2 * Heads) + (2 * KeyValueHeads));

    /// <summary>Bytes of the keys and values of a token, with their scales.</summary>
    public long RowBytes => 2L * KeyValueHeads * (Element.RowBytes(HeadSize) + Element.ScaleBytes(HeadSize));

    /// <summary>A window cache moves its rows once in as many steps as it has room for beyond the window: a fourth of it.</summary>
    public int Capacity => Window is int window ? window + Math.Max(64, window / 4) : Lengths.Max() + 1;

    /// <summary>Rows that the new tokens see, shared ones once.</summary>
    public double DistinctRows => Lengths.Sum(length => (double)VisibleRows(length)) - ((Lengths.Length - 1.0) * SharedRows);

    /// <summary>Keys that the new token of a sequence sees, itself included.</summary>
    public int VisibleRows(int length) => Math.Min(length + 1, Window ?? int.MaxValue);

    /// <summary>The cache of so many sets of the sequences.</summary>
    public KeyValueCacheOptions Cache(int sets) => new()
    {
        KeyValueHeads = KeyValueHeads,
        HeadSize = HeadSize,
        Element = Element,
        Kind = Kind,
        Capacity = Capacity,
        Sequences = checked((sets * Lengths.Length) + (SharedRows > 0 ? ExtraSequences : 0)),
        PageSize = PageSize,
        Pages = Kind == KeyValueCacheKind.Paged ? checked(sets * SetPages) : null,
        Window = Window,
    };

    /// <summary>Bytes of the cache for a set of the sequences.</summary>
    public double SetBytes =>
        RowBytes * (Kind == KeyValueCacheKind.Paged ? (double)SetPages * PageRows : (double)Lengths.Length * Capacity);

    private int SetPages => Lengths.Sum(length => (length / PageRows) + 1) - ((Lengths.Length - 1) * (SharedRows / PageRows));

    private int PageRows => PageSize ?? KeyValueCacheOptions.DefaultPageSize;
}
