namespace AttentionGpu;

/// <summary>
/// A <see cref="KeyValueCache"/> has no room for what is asked: no free page, no free sequence, or no row below a sequence's capacity.
/// Nothing is written; the call works when sequences have been shortened, spilled or disposed of.
/// </summary>
/// <param name="message">What is missing.</param>
public sealed class KeyValueCacheFullException(string message) : InvalidOperationException(message);
