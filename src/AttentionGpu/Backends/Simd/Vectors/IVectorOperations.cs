using System.Runtime.Intrinsics;

namespace AttentionGpu.Backends.Simd.Vectors;

/// <summary>
/// What the host kernels need of a vector of floats, so that one source serves every width. The operations are static members of an
/// empty struct: after specialisation each is one instruction or a few.
/// </summary>
internal unsafe interface IVectorOperations<TVector>
    where TVector : unmanaged
{
    /// <summary>Floats in a vector.</summary>
    static abstract int Width { get; }

    /// <summary>Vectors across a register tile of six rows: four where there are 32 registers, else two.</summary>
    static abstract int TileVectors { get; }

    static abstract TVector Zero { get; }

    static abstract TVector Load(float* source);

    static abstract void Store(TVector value, float* target);

    /// <summary>Signed bytes as floats.</summary>
    static abstract TVector LoadBytes(byte* source);

    /// <summary>Signed halves of bytes as floats, the lower half of a byte first.</summary>
    static abstract TVector LoadNibbles(byte* source);

    /// <summary>Signed bytes, widened, shifted to the left and masked, as the bits of floats.</summary>
    static abstract TVector LoadBytesAsBits(byte* source, int shift, int mask);

    /// <summary>The same of 16 bits.</summary>
    static abstract TVector LoadShortsAsBits(ushort* source, int shift, int mask);

    static abstract TVector Broadcast(float value);

    /// <summary>0, 1, 2, ... in the lanes.</summary>
    static abstract TVector Indices { get; }

    static abstract TVector Add(TVector left, TVector right);

    static abstract TVector Subtract(TVector left, TVector right);

    static abstract TVector Multiply(TVector left, TVector right);

    static abstract TVector Divide(TVector left, TVector right);

    /// <summary>left * right + addend, fused where the machine can.</summary>
    static abstract TVector MultiplyAdd(TVector left, TVector right, TVector addend);

    /// <summary>The larger; <paramref name="right"/> where <paramref name="left"/> is NaN.</summary>
    static abstract TVector Max(TVector left, TVector right);

    /// <summary>The nearest whole number.</summary>
    static abstract TVector Round(TVector value);

    /// <summary>
    /// value * 2^exponent for a value near 1 and a whole exponent of -126 to 127.
    /// </summary>
    static abstract TVector ScaleByPowerOfTwo(TVector value, TVector exponent);

    /// <summary><paramref name="whenLess"/> in the lanes where left is less than right, else <paramref name="otherwise"/>.</summary>
    static abstract TVector SelectLess(TVector left, TVector right, TVector whenLess, TVector otherwise);

    /// <summary><paramref name="whenZero"/> in the lanes whose byte is zero, else <paramref name="otherwise"/>.</summary>
    static abstract TVector SelectZero(byte* bytes, TVector whenZero, TVector otherwise);

    /// <summary>
    /// <paramref name="whenEqual"/> in the lanes whose number is <paramref name="right"/>, else <paramref name="otherwise"/>.
    /// </summary>
    static abstract TVector SelectEqual(int* left, int right, TVector whenEqual, TVector otherwise);

    static abstract float Sum(TVector value);

    /// <summary>The largest element of a vector without NaN.</summary>
    static abstract float Largest(TVector value);

    /// <summary>The sums of eight vectors, side by side.</summary>
    static abstract Vector256<float> SumEach(
        TVector a, TVector b, TVector c, TVector d, TVector e, TVector f, TVector g, TVector h);

    /// <summary>The sums of four vectors, side by side.</summary>
    static abstract Vector128<float> SumEach(TVector a, TVector b, TVector c, TVector d);
}
