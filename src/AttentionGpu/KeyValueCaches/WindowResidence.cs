namespace AttentionGpu.KeyValueCaches;

/// <summary>
/// How many of a sequence's rows a cache has dropped: none, or by <see cref="KeyValueCacheKind.Window"/>. Rows are dropped by
/// capacity - window + 1 at once, so that a row moves once in as many steps, and window - 1 stay: what the next query sees.
/// </summary>
/// <param name="options">The options of the cache.</param>
internal readonly struct WindowResidence(KeyValueCacheOptions options)
{
    // Keys that a query sees; 0 for a cache that drops nothing.
    private readonly int _window = options.Window ?? 0;
    private readonly int _capacity = options.Capacity;

    private int Step => _capacity - _window + 1;

    /// <summary>Rows that are dropped of so many.</summary>
    public int Dropped(int length) =>
        _window == 0 || length <= _capacity ? 0 : (int)(((long)length - _capacity + Step - 1) / Step * Step);

    /// <summary>The same where some have been dropped already, which do not come back.</summary>
    public int Dropped(int length, int before) => Math.Max(Dropped(length), before);

    /// <summary>The most rows that one call can append: rows are dropped before the call's first row only.</summary>
    /// <param name="length">Rows of the sequence.</param>
    /// <param name="dropped">Rows of them that have been dropped.</param>
    public int Appendable(int length, int dropped) => _window == 0
        ? _capacity - length
        : (int)Math.Min((long)_capacity + Dropped(length + 1, dropped), int.MaxValue) - length;
}
