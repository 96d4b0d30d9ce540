namespace AttentionGpu;

/// <summary>How a <see cref="KeyValueCache"/> keeps the rows of a sequence.</summary>
public enum KeyValueCacheKind
{
    /// <summary>
    /// One after another, in room for <see cref="KeyValueCacheOptions.Capacity"/> rows that each sequence has for itself.
    /// </summary>
    Contiguous,

    /// <summary>
    /// In pages that sequences take as they grow, and share after a fork until one of them writes (PagedAttention, Kwon and others, 2023).
    /// </summary>
    Paged,

    /// <summary>
    /// One after another, the last ones only: for layers that attend within a sliding window. With capacity C, window W and
    /// G = C - W + 1 a sequence of T rows keeps T of them up to C, then T - G * ceil((T - C) / G): a number that depends on T alone (ONNX
    /// Runtime's <c>sliding_window_cache</c>). After a batch that was undone it may be window - 1 until the next one.
    /// </summary>
    Window,
}
