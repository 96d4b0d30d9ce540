namespace AttentionGpu.Hosting;

/// <summary>What happens when the memory of a layer's sessions is full.</summary>
public enum AttentionCachePolicy
{
    /// <summary>What needs more is refused with an <see cref="AttentionCacheFullException"/>.</summary>
    Refuse,

    /// <summary>
    /// Sessions that were used longest ago move to host memory, <see cref="AttentionCacheOptions.HostMemoryBytes"/> at most, and come back
    /// with their next step. What still needs more is refused.
    /// </summary>
    Spill,
}

/// <summary>The memory in which a layer keeps the keys and values of its sessions, and what sessions may ask for.</summary>
public sealed class AttentionCacheOptions
{
    /// <summary>
    /// How rows are kept: in pages, or one after another. Not in a window: a step that is cancelled takes its rows back, and a window has
    /// dropped some for them.
    /// </summary>
    public KeyValueCacheKind Kind { get; set; } = KeyValueCacheKind.Paged;

    /// <summary>How keys and values are stored.</summary>
    public KeyValueElement Element { get; set; }

    /// <summary>Tokens of a session at most.</summary>
    public int Capacity { get; set; } = 4096;

    /// <summary>Tokens of a page; see <see cref="KeyValueCacheOptions.PageSize"/>.</summary>
    public int? PageSize { get; set; }

    /// <summary>
    /// Pages on the device; null for as many as <see cref="MemoryBytes"/> has room for, or else all sessions of <see cref="Capacity"/>.
    /// </summary>
    public int? Pages { get; set; }

    /// <summary>
    /// Device memory for keys and values, of which as many pages are made as fit, or sequences of <see cref="Capacity"/> where they are
    /// contiguous; null where <see cref="Pages"/> or <see cref="Sessions"/> tell it.
    /// </summary>
    public long? MemoryBytes { get; set; }

    /// <summary>Sessions that may be open at once, those in host memory included.</summary>
    public int Sessions { get; set; } = 64;

    /// <summary>Sessions of one client that may be open at once; null for as many as there may be.</summary>
    public int? SessionsPerClient { get; set; }

    /// <summary>Steps, forks and rewinds of one session that may be under way; the others wait for the first.</summary>
    public int OperationsPerSession { get; set; } = 16;

    /// <summary>
    /// Tokens of a step that run at once: a longer step is cut, and steps of others run between its parts. At most
    /// <see cref="AttentionServiceOptions.MaxBatchTokens"/> are taken.
    /// </summary>
    public int ChunkTokens { get; set; } = 512;

    /// <summary>What happens when the memory is full.</summary>
    public AttentionCachePolicy WhenFull { get; set; }

    /// <summary>Host memory for sessions that were moved there.</summary>
    public long HostMemoryBytes { get; set; } = 1 << 30;

    /// <summary>How long nobody asks anything of a session before it is closed; null for ever.</summary>
    public TimeSpan? IdleTimeout { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Host memory for the outputs of first steps, whose rows later sessions that begin with the same inputs share instead of computing
    /// them; 0 for none. It needs pages.
    /// </summary>
    public long PrefixBytes { get; set; }

    /// <summary>What is wrong with the options.</summary>
    /// <param name="name">The layer's name.</param>
    internal IEnumerable<string> Problems(string name)
    {
        (string Option, bool IsRight, object? Value, string Rule)[] rules =
        [
            (nameof(Kind), Kind is KeyValueCacheKind.Paged or KeyValueCacheKind.Contiguous, Kind, "Paged or Contiguous"),
            (nameof(Element), Enum.IsDefined(Element), Element, string.Join(", ", Enum.GetNames<KeyValueElement>())),
            (nameof(Capacity), Capacity >= 1, Capacity, "at least 1"),
            (nameof(PageSize), PageSize is null || IsPaged, PageSize, $"left out where the kind is {Kind}"),
            (nameof(PageSize), PageSize is null or 16 or 32 or 64 or 128 or 256, PageSize, "16, 32, 64, 128 or 256"),
            (nameof(Pages), Pages is null || IsPaged, Pages, $"left out where the kind is {Kind}"),
            (nameof(Pages), Pages is null or >= 1, Pages, "at least 1"),
            (nameof(MemoryBytes), MemoryBytes is null || Pages is null, MemoryBytes, "left out where Pages are given"),
            (nameof(MemoryBytes), MemoryBytes is null or >= 1, MemoryBytes, "at least 1"),
            (nameof(Sessions), Sessions is >= 1 and <= MostSessions, Sessions, $"1 to {MostSessions}"),
            (nameof(SessionsPerClient), SessionsPerClient is null or >= 1, SessionsPerClient, "at least 1"),
            (nameof(OperationsPerSession), OperationsPerSession >= 1, OperationsPerSession, "at least 1"),
            (nameof(ChunkTokens), ChunkTokens >= 1, ChunkTokens, "at least 1"),
            (nameof(WhenFull), Enum.IsDefined(WhenFull), WhenFull, string.Join(" or ", Enum.GetNames<AttentionCachePolicy>())),
            (nameof(HostMemoryBytes), HostMemoryBytes >= 0, HostMemoryBytes, "at least 0"),
            (nameof(IdleTimeout), IdleTimeout is null || IdleTimeout > TimeSpan.Zero && IdleTimeout <= _longest, IdleTimeout,
                "more than 0 and at most one day"),
            (nameof(PrefixBytes), PrefixBytes >= 0, PrefixBytes, "at least 0"),
            (nameof(PrefixBytes), PrefixBytes == 0 || IsPaged, PrefixBytes, $"0 where the kind is {Kind}"),
        ];
        return rules.Where(rule => !rule.IsRight)
            .Select(rule => $"{rule.Option} of the cache of the layer '{name}' must be {rule.Rule}; it was {rule.Value}.");
    }

    /// <summary>Makes the cache on an engine.</summary>
    /// <exception cref="ArgumentException">The options do not fit the layer, or the memory has no room for a page.</exception>
    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    internal KeyValueCache Create(AttentionEngine engine, MultiHeadAttentionConfig config)
    {
        KeyValueCacheOptions options = Of(config, Sessions + (PrefixBytes > 0 ? MostPrefixes : 0)) with
        {
            Pages = Pages ?? (IsPaged ? PagesOf(Sessions) : null),
        };
        if (MemoryBytes is not long bytes)
            return engine.CreateCache(options);
        long unit;
        using (KeyValueCache one = engine.CreateCache(options with { Sequences = 1, Pages = IsPaged ? 1 : null }))
            unit = one.ByteLength;
        long count = bytes / unit;
        if (count < 1)
        {
            throw new ArgumentException(
                $"MemoryBytes must be at least {unit}, {(IsPaged ? "a page" : "one sequence of Capacity")}; it was {bytes}.",
                nameof(config));
        }

        return engine.CreateCache(IsPaged
            ? options with { Pages = (int)Math.Min(count, PagesOf(options.Sequences)) }
            : options with { Sequences = (int)Math.Min(count, Sessions) });
    }

    /// <summary>Makes a cache like it with room for one sequence of some rows.</summary>
    /// <exception cref="AttentionMemoryException">There is not enough memory.</exception>
    internal KeyValueCache CreateForOne(AttentionEngine engine, MultiHeadAttentionConfig config, int rows) =>
        engine.CreateCache(Of(config, sequences: 1) with { Pages = IsPaged ? (rows + PageRows - 1) / PageRows : null });

    /// <summary>Prefixes that are kept at most, whatever their bytes: each takes a row of the table of pages.</summary>
    internal const int MostPrefixes = 256;

    private const int MostSessions = 1 << 16;

    private static readonly TimeSpan _longest = TimeSpan.FromDays(1);

    /// <summary>Rows that are shared or not as a whole.</summary>
    internal int PageRows => IsPaged ? PageSize ?? KeyValueCacheOptions.DefaultPageSize : Capacity;

    private bool IsPaged => Kind == KeyValueCacheKind.Paged;

    private KeyValueCacheOptions Of(MultiHeadAttentionConfig config, int sequences) => new()
    {
        KeyValueHeads = config.KeyValueHeads ?? config.Heads,
        HeadSize = config.HeadSize ?? config.EmbeddingSize / config.Heads,
        Element = Element,
        Kind = Kind,
        Capacity = Capacity,
        Sequences = sequences,
        PageSize = PageSize,
    };

    private int PagesOf(int sequences) => (int)Math.Min(int.MaxValue, (long)sequences * ((Capacity + (long)PageRows - 1) / PageRows));
}
