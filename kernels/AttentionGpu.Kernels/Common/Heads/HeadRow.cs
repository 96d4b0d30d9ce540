using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
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
    public ArrayView<SingleElement> Norm;

    /// <summary>A factor of all elements, which keeps their squares within float32.</summary>
    public float Range;

    /// <summary>1 / the root mean square of the elements times <see cref="Range"/>.</summary>
    public float Factor;

    /// <summary>The cosines of all positions.</summary>
    public ArrayView<SingleElement> Cosine;

    /// <summary>The sines of all positions.</summary>
    public ArrayView<SingleElement> Sine;

    /// <summary>The first of the row's cosines and sines.</summary>
    public long FirstAngle;

    /// <summary>Whether rows, factors, cosines and sines are read four at once.</summary>
    public readonly bool IsAligned
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Shape.IsAligned != 0;
    }

    /// <summary>Four elements as they are; 0 behind the row's end.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Float4 Load(int column) => Quad<TElement>.Load(Source, First + column, Shape.Size - column, IsAligned);

    /// <summary>
    /// Four elements as they are stored, from a column that is a multiple of four: 2 loads, and 4 more where they are rotated.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Float4 Values(int column)
    {
        Float4 values = Normalised(column, IsAligned);
        if (column >= Shape.RotarySize)
            return values;
        if (Shape.IsInterleaved != 0)
            return Interleaved(values, column);
        if (!IsAligned)
        {
            return new Float4(
                Rotated(values.X, column), Rotated(values.Y, column + 1), Rotated(values.Z, column + 2), Rotated(values.W, column + 3));
        }

        int half = Shape.RotarySize >> 1;
        Rows8 pairs = Pairs(column < half ? column : column - half);
        return column < half ? pairs.Low : pairs.High;
    }

    /// <summary>
    /// Four elements of the first half of what is rotated, from a column that is a multiple of four, and their partners in the second; only
    /// where rows are aligned and pairs are no neighbours. 6 loads.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Rows8 Pairs(int column)
    {
        Float4 first = Normalised(column, isAligned: true);
        Float4 second = Normalised(column + (Shape.RotarySize >> 1), isAligned: true);
        Float4 cosines = Quad<SingleElement>.Load(Cosine, FirstAngle + column, 4, isAligned: true);
        Float4 sines = Quad<SingleElement>.Load(Sine, FirstAngle + column, 4, isAligned: true);
        return new Rows8(
            new Float4(
                first.X * cosines.X + -second.X * sines.X, first.Y * cosines.Y + -second.Y * sines.Y,
                first.Z * cosines.Z + -second.Z * sines.Z, first.W * cosines.W + -second.W * sines.W),
            new Float4(
                second.X * cosines.X + first.X * sines.X, second.Y * cosines.Y + first.Y * sines.Y,
                second.Z * cosines.Z + first.Z * sines.Z, second.W * cosines.W + first.W * sines.W));
    }

    // Two pairs of neighbours, of which only the first may be rotated.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Float4 Interleaved(Float4 values, int column)
    {
        long angle = FirstAngle + (column >> 1);
        float cosine = Cosine[angle].Value;
        float sine = Sine[angle].Value;
        bool isWhole = column + 2 < Shape.RotarySize;
        float nextCosine = isWhole ? Cosine[angle + 1].Value : 1f;
        float nextSine = isWhole ? Sine[angle + 1].Value : 0f;
        return new Float4(
            values.X * cosine + -values.Y * sine,
            values.Y * cosine + values.X * sine,
            isWhole ? values.Z * nextCosine + -values.W * nextSine : values.Z,
            isWhole ? values.W * nextCosine + values.Z * nextSine : values.W);
    }

    // An element whose partner is half the rotary size away, wherever that is.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Rotated(float value, int element)
    {
        if (element >= Shape.RotarySize)
            return value;
        int half = Shape.RotarySize >> 1;
        bool isFirst = element < half;
        int pair = isFirst ? element : element - half;
        int other = isFirst ? element + half : pair;
        float partner = Source[First + other].ToSingle();
        if (Shape.HasNorm != 0)
            partner = partner * Range * Factor * Norm[other].Value;
        return value * Cosine[FirstAngle + pair].Value + (isFirst ? -partner : partner) * Sine[FirstAngle + pair].Value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly Float4 Normalised(int column, bool isAligned)
    {
        Float4 values = Quad<TElement>.Load(Source, First + column, Shape.Size - column, isAligned);
        if (Shape.HasNorm != 0)
        {
            Float4 factors = Quad<SingleElement>.Load(Norm, column, Shape.Size - column, isAligned);
            values = new Float4(
                values.X * Range * Factor * factors.X, values.Y * Range * Factor * factors.Y, values.Z * Range * Factor * factors.Z,
                values.W * Range * Factor * factors.W);
        }

        return values;
    }
}
