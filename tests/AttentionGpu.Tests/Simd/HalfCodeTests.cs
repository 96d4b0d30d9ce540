using System.Runtime.Intrinsics;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Tests.Simd;

/// <summary>All codes of float16: numbers are read exactly, and those that are none are found.</summary>
public unsafe class HalfCodeTests
{
    private const int Row = 64;

    private static readonly ushort[] _codes = [.. Enumerable.Range(0, ushort.MaxValue + 1).Select(code => (ushort)code)];

    [Fact]
    public void Every_number_is_read_as_its_value_over_the_factor_at_every_width()
    {
        AssertExact<Vector512<float>, Operations512>();
        AssertExact<Vector256<float>, Operations256>();
        AssertExact<Vector128<float>, Operations128>();
    }

    [Fact]
    public void Every_code_that_is_no_number_is_found_wherever_it_is()
    {
        foreach (int size in (int[])[Row, 2 * Row + 7])
        {
            var row = new ushort[size];
            Array.Fill(row, (ushort)0xFBFF);
            fixed (ushort* first = row)
            {
                foreach (ushort code in _codes)
                {
                    int place = code % size;
                    row[place] = code;
                    Assert.Equal(
                        !Half.IsFinite(BitConverter.UInt16BitsToHalf(code)),
                        SpecialCodes.AreIn(KeyValueElement.Float16, (byte*)first, size));
                    row[place] = 0x7BFF;
                }
            }
        }
    }

    private static void AssertExact<TVector, TOperations>()
        where TVector : unmanaged
        where TOperations : struct, IVectorOperations<TVector>
    {
        float* vector = stackalloc float[Vector512<float>.Count];
        fixed (ushort* codes = _codes)
        {
            for (int i = 0; i < _codes.Length; i += TOperations.Width)
            {
                TOperations.Store(HalfElements<TVector, TOperations>.Load((byte*)codes, i), vector);
                for (int lane = 0; lane < TOperations.Width; lane++)
                {
                    float expected = (float)BitConverter.UInt16BitsToHalf(_codes[i + lane]);
                    if (!float.IsFinite(expected))
                        continue;
                    float one = HalfElements<TVector, TOperations>.LoadOne((byte*)codes, i + lane);
                    AssertSame(expected, vector[lane] * HalfElements<TVector, TOperations>.Factor);
                    AssertSame(expected, one * HalfElements<TVector, TOperations>.Factor);
                }
            }
        }
    }

    // Zeros by their sign too.
    private static void AssertSame(float expected, float actual) =>
        Assert.Equal(BitConverter.SingleToInt32Bits(expected), BitConverter.SingleToInt32Bits(actual));
}
