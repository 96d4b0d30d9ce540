using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Heads;

/// <summary>
/// A row of queries, keys or values, and what becomes of its elements: a factor each where it is normalised, and a rotation.
/// </summary>
internal struct HeadRow<TElement>
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>The sizes.</summary>
    public HeadTransformArguments Shape;

    /// <summary>The rows' memory.</summary>
    public ArrayView<TElement> Source;

    /// <summary>The row's first element.</summary>
    public long First;

    /// <summary>A factor for each element of a normalised row.</summary>
    public ArrayView<float> Norm;

    /// <summary>A factor of all elements, which keeps their squares within float32.</summary>
    public float Range;

    /// <summary>1 / the root mean square of the elements times <see cref="Range"/>.</summary>
    public float Factor;

    /// <summary>The cosines of all positions.</summary>
    public ArrayView<float> Cosine;

    /// <summary>The sines of all positions.</summary>
    public ArrayView<float> Sine;

    /// <summary>The first of the row's cosines and sines.</summary>
    public long FirstAngle;

    /// <summary>An element as it is stored: 2 loads, and 4 more where it is rotated.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Value(int element)
    {
        float value = Normalised(element);
        if (element >= Shape.RotarySize)
            return value;
        int half = Shape.RotarySize >> 1;
        bool isFirst = Shape.IsInterleaved != 0 ? (element & 1) == 0 : element < half;
        int distance = Shape.IsInterleaved != 0 ? 1 : half;
        int pair = Shape.IsInterleaved != 0 ? element >> 1 : isFirst ? element : element - half;
        float partner = Normalised(isFirst ? element + distance : element - distance);
        return value * Cosine[FirstAngle + pair] + (isFirst ? -partner : partner) * Sine[FirstAngle + pair];
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Normalised(int element)
    {
        float value = Source[First + element].ToSingle();
        return Shape.HasNorm != 0 ? value * Range * Factor * Norm[element] : value;
    }
}
