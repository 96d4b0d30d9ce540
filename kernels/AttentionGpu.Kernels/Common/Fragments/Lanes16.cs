using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// Sixteen neighbouring floats of a row, which a compiler for a processor makes one vector of: what is done to them is written lane after
/// lane.
/// </summary>
public struct Lanes16
{
    private Float4 _a;
    private Float4 _b;
    private Float4 _c;
    private Float4 _d;

    /// <summary>The largest lane.</summary>
    public readonly float Max
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Float4.Maximum(Float4.Maximum(_a, _b), Float4.Maximum(_c, _d)).Max;
    }

    /// <summary>The sum of the lanes.</summary>
    public readonly float Sum
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Float4.Add(Float4.Add(_a, _b), Float4.Add(_c, _d)).Sum;
    }

    /// <summary>Reads four elements of four floats, <paramref name="stride"/> elements from one to the next.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes16 Load(ArrayView<Float4> memory, int index, int stride) => new()
    {
        _a = memory[index],
        _b = memory[index + stride],
        _c = memory[index + 2 * stride],
        _d = memory[index + 3 * stride],
    };

    /// <summary>Writes four neighbouring elements of four floats.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(ArrayView<Float4> memory, int index)
    {
        memory[index] = _a;
        memory[index + 1] = _b;
        memory[index + 2] = _c;
        memory[index + 3] = _d;
    }

    /// <summary>Adds <c>factor * other</c>, lane by lane: 16 multiply-adds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(float factor, Lanes16 other)
    {
        _a.MultiplyAdd(factor, other._a);
        _b.MultiplyAdd(factor, other._b);
        _c.MultiplyAdd(factor, other._c);
        _d.MultiplyAdd(factor, other._d);
    }

    /// <summary>Multiplies every lane by <paramref name="factor"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(float factor)
    {
        _a.Scale(factor);
        _b.Scale(factor);
        _c.Scale(factor);
        _d.Scale(factor);
    }

    /// <summary>Makes every lane <c>exp(lane - shift)</c>; see <see cref="LaneMath.ExpOfNonPositive"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ExponentiateFrom(float shift)
    {
        _a = Exp(_a, shift);
        _b = Exp(_b, shift);
        _c = Exp(_c, shift);
        _d = Exp(_d, shift);
    }

    /// <summary>Lane by lane maximum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes16 Maximum(Lanes16 left, Lanes16 right) => new()
    {
        _a = Float4.Maximum(left._a, right._a),
        _b = Float4.Maximum(left._b, right._b),
        _c = Float4.Maximum(left._c, right._c),
        _d = Float4.Maximum(left._d, right._d),
    };

    /// <summary>Hands the lanes over, four at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store<TSink>(TSink sink, int row, int column, int stride)
        where TSink : struct, IFragmentSink
    {
        Store(sink, row, column, _a);
        Store(sink, row, column + stride, _b);
        Store(sink, row, column + 2 * stride, _c);
        Store(sink, row, column + 3 * stride, _d);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TSink>(TSink sink, int row, int column, Float4 lanes)
        where TSink : struct, IFragmentSink
    {
        sink.MoveTo(column);
        sink.Write(row, column, lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Float4 Exp(Float4 lanes, float shift) => new(
        LaneMath.ExpOfNonPositive(lanes.X - shift), LaneMath.ExpOfNonPositive(lanes.Y - shift),
        LaneMath.ExpOfNonPositive(lanes.Z - shift), LaneMath.ExpOfNonPositive(lanes.W - shift));
}
