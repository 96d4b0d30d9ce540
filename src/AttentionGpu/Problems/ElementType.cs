namespace AttentionGpu.Problems;

/// <summary>How the elements of queries, keys, values and outputs are stored. Arithmetic is in float32.</summary>
internal enum ElementType
{
    Float32,
    Float16,
    BFloat16,
}

/// <summary>Sizes and names of element types.</summary>
internal static class ElementTypes
{
    public static int Size(this ElementType type) => type == ElementType.Float32 ? sizeof(float) : sizeof(ushort);

    /// <summary>The element type that <typeparamref name="T"/> stores.</summary>
    /// <exception cref="NotSupportedException">Attention has none such.</exception>
    public static ElementType Of<T>()
        where T : unmanaged =>
        typeof(T) == typeof(float) ? ElementType.Float32
        : typeof(T) == typeof(Half) ? ElementType.Float16
        : typeof(T) == typeof(BFloat16) ? ElementType.BFloat16
        : throw new NotSupportedException($"Attention takes tensors of float, Half or BFloat16, not {typeof(T)}.");
}
