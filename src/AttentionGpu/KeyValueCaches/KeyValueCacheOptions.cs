using AttentionGpu.KeyValues;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>The sizes of a <see cref="KeyValueCache"/> and how it keeps keys and values.</summary>
public sealed record KeyValueCacheOptions
{
    /// <summary>Rows of a page where <see cref="PageSize"/> is left out.</summary>
    public const int DefaultPageSize = 64;

    private const int SmallestPage = 16;
    private const int LargestPage = 256;

    // Rows in order are read up to twice as fast as pages of 16 rows that lie anywhere; longer runs, hardly faster.
    private const int GroupRows = 1024;

    /// <summary>Heads of keys and values of a layer; at least 1.</summary>
    public required int KeyValueHeads { get; init; }

    /// <summary>Elements of a key; at least 1.</summary>
    public required int HeadSize { get; init; }

    /// <summary>
    /// Elements of a value; null for the head size. Where values are the keys' first elements, at most the head size.
    /// </summary>
    public int? ValueHeadSize { get; init; }

    /// <summary>Layers that share the sequences and their page tables; at least 1.</summary>
    public int Layers { get; init; } = 1;

    /// <summary>How keys and values are stored.</summary>
    public KeyValueElement Element { get; init; }

    /// <summary>How rows are kept.</summary>
    public KeyValueCacheKind Kind { get; init; }

    /// <summary>
    /// The most rows of a sequence: tokens; of a window cache, the most that it keeps, at least <see cref="Window"/>.
    /// </summary>
    public required int Capacity { get; init; }

    /// <summary>The most sequences that are open and not spilled at once; at least 1.</summary>
    public required int Sequences { get; init; }

    /// <summary>
    /// Rows of a page of a paged cache: 16, 32, 64, 128 or 256; null for <see cref="DefaultPageSize"/>. Null for other kinds.
    /// </summary>
    public int? PageSize { get; init; }

    /// <summary>
    /// Pages of a paged cache for all sequences; null for as many as all sequences of <see cref="Capacity"/> rows need. Null for other
    /// kinds.
    /// </summary>
    public int? Pages { get; init; }

    /// <summary>
    /// Keys that a query of a window cache sees, its own included: a window of this minus 1 keys to the left. Null for other kinds.
    /// </summary>
    public int? Window { get; init; }

    /// <summary>
    /// Whether values are the first <see cref="ValueHeadSize"/> elements of the keys, which alone are stored: multi-head latent attention
    /// (DeepSeek-V2).
    /// </summary>
    public bool ValuesInKeys { get; init; }

    internal int ActualValueHeadSize => ValueHeadSize ?? HeadSize;

    /// <summary>Rows of a page; where a sequence has all its rows in one, its capacity.</summary>
    internal int PageRows => Kind == KeyValueCacheKind.Paged ? PageSize ?? DefaultPageSize : Capacity;

    /// <summary>Pages of the longest sequence.</summary>
    internal int PagesPerSequence => (int)(((long)Capacity + PageRows - 1) / PageRows);

    /// <summary>Pages of all sequences.</summary>
    internal int ActualPages => Pages ?? checked(Sequences * PagesPerSequence);

    /// <summary>Pages of which a sequence takes those that follow each other, while others begin elsewhere.</summary>
    internal int GroupPages => Kind == KeyValueCacheKind.Paged ? GroupRows / PageRows : 1;

    /// <summary>How the form is told to plans.</summary>
    internal KeyValueForm Form => new(
        Element, Kind == KeyValueCacheKind.Paged ? KeyValueRows.Paged : KeyValueRows.Contiguous, ValuesInKeys);

    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    internal void Validate()
    {
        RequireAtLeast1(KeyValueHeads, nameof(KeyValueHeads));
        RequireAtLeast1(HeadSize, nameof(HeadSize));
        RequireAtLeast1(ActualValueHeadSize, nameof(ValueHeadSize));
        RequireAtLeast1(Layers, nameof(Layers));
        RequireAtLeast1(Capacity, nameof(Capacity));
        RequireAtLeast1(Sequences, nameof(Sequences));
        if (!Enum.IsDefined(Element))
            throw Error(nameof(Element), Element, "one of its named values");
        if (!Enum.IsDefined(Kind))
            throw Error(nameof(Kind), Kind, "one of its named values");
        if (ValuesInKeys && ActualValueHeadSize > HeadSize)
        {
            throw Error(
                nameof(ValueHeadSize), ValueHeadSize, $"at most the head size, {HeadSize}, where values are the keys' first elements");
        }

        ValidateKind();
        long rows = Kind == KeyValueCacheKind.Paged
            ? (long)Sequences * PagesPerSequence * PageRows
            : (long)Sequences * KeyValueHeads * Capacity;
        if (rows > int.MaxValue)
        {
            throw Error(
                nameof(Capacity), Capacity,
                Kind == KeyValueCacheKind.Paged
                    ? $"smaller: {Sequences} sequences must have fewer than 2^31 rows together"
                    : $"smaller: {Sequences} sequences of {KeyValueHeads} heads must have fewer than 2^31 rows together");
        }
    }

    private void ValidateKind()
    {
        bool isPaged = Kind == KeyValueCacheKind.Paged;
        if (!isPaged && PageSize is int size)
            throw Error(nameof(PageSize), size, $"left out where the kind is {Kind}");
        if (!isPaged && Pages is int pages)
            throw Error(nameof(Pages), pages, $"left out where the kind is {Kind}");
        if (PageRows is < SmallestPage or > LargestPage && isPaged || isPaged && !int.IsPow2(PageRows))
            throw Error(nameof(PageSize), PageSize, $"a power of two from {SmallestPage} to {LargestPage}");
        if (isPaged && Pages is < 1)
            throw Error(nameof(Pages), Pages, "at least 1");
        if (Kind != KeyValueCacheKind.Window && Window is int unused)
            throw Error(nameof(Window), unused, $"left out where the kind is {Kind}");
        if (Kind == KeyValueCacheKind.Window && (Window is not int window || window < 1 || window > Capacity))
            throw Error(nameof(Window), Window, $"1 to the capacity, {Capacity}, where the kind is {Kind}");
    }

    private static void RequireAtLeast1(int value, string option)
    {
        if (value < 1)
            throw Error(option, value, "at least 1");
    }

    private static ArgumentOutOfRangeException Error(string option, object? value, string rule) =>
        BadInput.OutOfRange("options", value, $"The option '{option}' must be {rule}; it is {value ?? "null"}.");
}
