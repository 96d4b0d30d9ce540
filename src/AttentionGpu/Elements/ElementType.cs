using AttentionGpu.Kernels.Common.Elements;

namespace AttentionGpu.Elements;

/// <summary>How the elements of a tensor are stored. Arithmetic is in float32.</summary>
internal enum ElementType
{
    Float32,
    Float16,
    BFloat16,
}

/// <summary>Does a job for an element type that is known at run time only.</summary>
internal interface IElementVisitor<TResult>
{
    /// <summary>Does it for the kernels' struct of the element type.</summary>
    TResult Visit<TElement>()
        where TElement : unmanaged, IElement<TElement>;
}

/// <summary>
/// Sizes and names of element types, and the one dispatch over them. A type that is not listed here is an error everywhere.
/// </summary>
internal static class ElementTypes
{
    /// <summary>Bytes of an element.</summary>
    public static int Size(this ElementType type) => type switch
    {
        ElementType.Float32 => sizeof(float),
        ElementType.Float16 or ElementType.BFloat16 => sizeof(ushort),
        _ => throw Unknown(type),
    };

    /// <summary>The element type that <typeparamref name="T"/> stores.</summary>
    /// <exception cref="NotSupportedException">Attention has no such element type.</exception>
    public static ElementType Of<T>()
        where T : unmanaged =>
        typeof(T) == typeof(float) ? ElementType.Float32
        : typeof(T) == typeof(Half) ? ElementType.Float16
        : typeof(T) == typeof(BFloat16) ? ElementType.BFloat16
        : throw new NotSupportedException($"Attention takes tensors of float, Half or BFloat16, not {typeof(T)}.");

    /// <summary>Calls the visitor with the kernels' struct of an element type.</summary>
    public static TResult Visit<TResult>(this ElementType type, IElementVisitor<TResult> visitor) => type switch
    {
        ElementType.Float32 => visitor.Visit<SingleElement>(),
        ElementType.Float16 => visitor.Visit<HalfElement>(),
        ElementType.BFloat16 => visitor.Visit<BFloat16Element>(),
        _ => throw Unknown(type),
    };

    /// <summary>The exception for a value that is no element type.</summary>
    public static ArgumentOutOfRangeException Unknown(ElementType type) => new(nameof(type), type, "There is no such element type.");
}
