using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU.Algorithms;

namespace AttentionGpu.Kernels.Common.Fragments;

/// <summary>
/// Four neighbouring floats. In shared memory it is read and written as one 16-byte access (<c>ld.shared.v4.f32</c>);
/// as a local its fields are registers.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 16)]
public struct Float4
{
    /// <summary>First lane.</summary>
    public float X;

    /// <summary>Second lane.</summary>
    public float Y;

    /// <summary>Third lane.</summary>
    public float Z;

    /// <summary>Fourth lane.</summary>
    public float W;

    /// <summary>A vector of the four given lanes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Float4(float x, float y, float z, float w)
    {
        X = x;
        Y = y;
        Z = z;
        W = w;
    }

    /// <summary>One lane; cheap where its number is a constant.</summary>
    public readonly float this[int lane]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => lane == 0 ? X : lane == 1 ? Y : lane == 2 ? Z : W;
    }

    /// <summary>The largest lane.</summary>
    public readonly float Max
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => XMath.Max(XMath.Max(X, Y), XMath.Max(Z, W));
    }

    /// <summary>The sum of the lanes.</summary>
    public readonly float Sum
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (X + Y) + (Z + W);
    }

    /// <summary>Adds <c>factor * other</c>, lane by lane: 4 multiply-adds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void MultiplyAdd(float factor, Float4 other)
    {
        X += factor * other.X;
        Y += factor * other.Y;
        Z += factor * other.Z;
        W += factor * other.W;
    }

    /// <summary>Multiplies every lane by <paramref name="factor"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Scale(float factor)
    {
        X *= factor;
        Y *= factor;
        Z *= factor;
        W *= factor;
    }

    /// <summary>Multiplies every lane by <paramref name="factor"/> and adds <paramref name="other"/>: 4 multiply-adds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void ScaleAdd(float factor, Float4 other)
    {
        X = X * factor + other.X;
        Y = Y * factor + other.Y;
        Z = Z * factor + other.Z;
        W = W * factor + other.W;
    }

    /// <summary>Lane by lane maximum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Maximum(Float4 left, Float4 right) => new(
        XMath.Max(left.X, right.X), XMath.Max(left.Y, right.Y), XMath.Max(left.Z, right.Z), XMath.Max(left.W, right.W));

    /// <summary>Lane by lane sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Float4 Add(Float4 left, Float4 right) =>
        new(left.X + right.X, left.Y + right.Y, left.Z + right.Z, left.W + right.W);
}
