using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.KeyValues;

namespace AttentionGpu.Backends.Simd.Stored;

/// <summary>32 bits.</summary>
internal readonly unsafe struct SingleElements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static int GroupSize => int.MaxValue;

    public static bool HasRowScale => false;

    public static bool WaitsForMemory => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) => TOperations.Load((float*)row + element);

    public static float LoadOne(byte* row, int element) => ((float*)row)[element];
}

/// <summary>
/// 16 bits, IEEE 754, finite ones alone (<see cref="SpecialCodes"/>): moved to the place of a single's they are 2^-112 of their value, also
/// below the normal numbers. What they are multiplied by has the rest, <see cref="Factor"/>. A vector: 1 load that widens, 1 shift, 1 mask.
/// </summary>
internal readonly unsafe struct HalfElements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int Shift = 13;
    private const int Mask = unchecked((int)0x8FFFE000);

    /// <summary>2^112.</summary>
    public const float Factor = 5192296858534827628530496329220096f;

    public static int GroupSize => int.MaxValue;

    public static bool HasRowScale => false;

    public static bool WaitsForMemory => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) =>
        TOperations.LoadShortsAsBits((ushort*)row + element, Shift, Mask);

    public static float LoadOne(byte* row, int element) => BitConverter.Int32BitsToSingle((((short*)row)[element] << Shift) & Mask);
}

/// <summary>The upper half of 32 bits. A vector: 1 load that widens, 1 shift.</summary>
internal readonly unsafe struct BFloat16Elements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int Shift = 16;

    public static int GroupSize => int.MaxValue;

    public static bool HasRowScale => false;

    public static bool WaitsForMemory => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) => TOperations.LoadShortsAsBits((ushort*)row + element, Shift, -1);

    public static float LoadOne(byte* row, int element) => new BFloat16Element { Bits = ((ushort*)row)[element] }.ToSingle();
}

/// <summary>Signed bytes, and a scale for each row. A vector: 1 load that widens, 1 conversion.</summary>
internal readonly unsafe struct Int8Elements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static int GroupSize => int.MaxValue;

    public static bool HasRowScale => true;

    public static bool WaitsForMemory => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) => TOperations.LoadBytes(row + element);

    public static float LoadOne(byte* row, int element) => (sbyte)row[element];
}

/// <summary>
/// 8-bit floating point E4M3, numbers alone (<see cref="SpecialCodes"/>): moved to the place of a single's they are 2^-120 of their value.
/// A vector: 1 load that widens, 1 shift, 1 mask, 1 multiplication.
/// </summary>
internal readonly unsafe struct Float8Elements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int Shift = 20;
    private const int Mask = unchecked((int)0x87F00000);
    private const float Factor = 1329227995784915872903807060280344576f;

    public static int GroupSize => int.MaxValue;

    public static bool HasRowScale => true;

    public static bool WaitsForMemory => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) =>
        TOperations.Multiply(TOperations.LoadBytesAsBits(row + element, Shift, Mask), TOperations.Broadcast(Factor));

    public static float LoadOne(byte* row, int element) =>
        SpecialCodes.IsNaN(row[element]) ? float.NaN : BitConverter.Int32BitsToSingle(((sbyte)row[element] << Shift) & Mask) * Factor;
}

/// <summary>
/// Signed halves of bytes, the even element in the lower half, and a scale for each group of a row. A vector of 256 bits: 1 load, 2 shifts,
/// 1 conversion; of 512 bits: 1 load, 1 shift of bits into bytes, 1 permutation of the 16 numbers.
/// </summary>
internal readonly unsafe struct Int4Elements<TVector, TOperations> : IStoredElements<TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    public static int GroupSize => KeyValueElements.Int4Group;

    public static bool HasRowScale => false;

    public static bool WaitsForMemory => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TVector Load(byte* row, int element) => TOperations.LoadNibbles(row + element / 2);

    public static float LoadOne(byte* row, int element)
    {
        int pair = (sbyte)row[element / 2];
        return (element & 1) != 0 ? pair >> 4 : (sbyte)(pair << 4) >> 4;
    }
}
