namespace AttentionGpu.Cli.Verify;

/// <summary>
/// Key/value caches of every kind and element type, values of their own or in the keys: a chunk, a fork, a truncation and ragged steps,
/// with rotary embedding.
/// </summary>
internal static class BuiltInCaches
{
    private const int HeadSize = 40;
    private const int ValueSize = 36;
    private const int LatentValueSize = 24;
    private const int Window = 24;

    /// <summary>All cases.</summary>
    public static IReadOnlyList<VerifyCase> All { get; } =
    [
        .. from kind in Enum.GetValues<KeyValueCacheKind>()
           from isLatent in (bool[])[false, true]
           from element in Enum.GetValues<KeyValueElement>()
           select Case(kind, isLatent, element),
    ];

    private static VerifyCase Case(KeyValueCacheKind kind, bool isLatent, KeyValueElement element)
    {
        // A head of a row has a whole group of 32 int4 elements and a shorter one. The last steps of the window drop rows.
        var options = new KeyValueCacheOptions
        {
            KeyValueHeads = 2,
            HeadSize = HeadSize,
            ValueHeadSize = isLatent ? LatentValueSize : ValueSize,
            ValuesInKeys = isLatent,
            Element = element,
            Kind = kind,
            Capacity = kind == KeyValueCacheKind.Window ? CacheScript.Length - 1 : CacheScript.Length,
            Sequences = 2,
            PageSize = kind == KeyValueCacheKind.Paged ? 16 : null,
            Window = kind == KeyValueCacheKind.Window ? Window : null,
        };
        string values = isLatent ? ", values in keys" : "";
        string name = $"cache, {kind.ToString().ToLowerInvariant()}, {element.ToString().ToLowerInvariant()}{values}";
        return new VerifyCase(name, engine =>
        {
            using var script = new CacheScript(engine, options);
            return script.Run(name);
        });
    }
}
