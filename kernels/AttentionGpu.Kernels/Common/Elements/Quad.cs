using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Fragments;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>Four neighbouring elements of a row: one access of 8 or 16 bytes, where the place is a multiple of its size.</summary>
public struct Quad<TElement>
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>The first element.</summary>
    public TElement X;

    /// <summary>The second.</summary>
    public TElement Y;

    /// <summary>The third.</summary>
    public TElement Z;

    /// <summary>The fourth.</summary>
    public TElement W;

    /// <summary>Reads four elements.</summary>
    /// <param name="elements">The memory.</param>
    /// <param name="first">The first of the four.</param>
    /// <param name="count">How many there are; 0 takes the place of others.</param>
    /// <param name="isAligned">
    /// Whether all four are there, <paramref name="first"/> is a multiple of four, and the memory starts at a multiple of their size.
    /// </param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Load(ArrayView<TElement> elements, long first, int count, bool isAligned)
    {
        if (isAligned)
        {
            Quad<TElement> quad = elements.Cast<Quad<TElement>>()[first >> 2];
            return new Float4(quad.X.ToSingle(), quad.Y.ToSingle(), quad.Z.ToSingle(), quad.W.ToSingle());
        }

        return new Float4(
            Load(elements, first, count > 0), Load(elements, first + 1, count > 1), Load(elements, first + 2, count > 2),
            Load(elements, first + 3, count > 3));
    }

    /// <summary>
    /// Writes four elements, or as many as there are. Parameters as for <see cref="Load(ArrayView{TElement}, long, int, bool)"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(ArrayView<TElement> elements, long first, int count, bool isAligned, Float4 values)
    {
        if (isAligned)
        {
            elements.Cast<Quad<TElement>>()[first >> 2] = new Quad<TElement>
            {
                X = TElement.FromSingle(values.X),
                Y = TElement.FromSingle(values.Y),
                Z = TElement.FromSingle(values.Z),
                W = TElement.FromSingle(values.W),
            };
        }
        else
        {
            if (count > 0)
                elements[first] = TElement.FromSingle(values.X);
            if (count > 1)
                elements[first + 1] = TElement.FromSingle(values.Y);
            if (count > 2)
                elements[first + 2] = TElement.FromSingle(values.Z);
            if (count > 3)
                elements[first + 3] = TElement.FromSingle(values.W);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Load(ArrayView<TElement> elements, long element, bool exists) => exists ? elements[element].ToSingle() : 0f;
}
