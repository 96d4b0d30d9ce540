namespace AttentionGpu;

/// <summary>
/// How <see cref="AttentionEngine.TensorScatter{T}"/> treats rows behind the end of the cache: the operator's attribute <c>mode</c>.
/// </summary>
public enum TensorScatterMode
{
    /// <summary>Rows that do not fit behind the write index are an error.</summary>
    Linear,

    /// <summary>Rows go on at the start of the cache.</summary>
    Circular,
}
