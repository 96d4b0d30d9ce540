using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Engine;

/// <summary>Rows of 16-bit elements, converted by vectors, against single conversions of the framework.</summary>
public unsafe class ElementRowsTests
{
    private const int All = ushort.MaxValue + 1;

    [Theory]
    [InlineData(All)]
    [InlineData(1)]
    [InlineData(37)]
    public void Loading_gives_every_value(int count)
    {
        ushort[] bits = [.. Enumerable.Range(0, count).Select(i => (ushort)(i * (All / count)))];
        AssertSame(bits, Load(bits, ElementType.Float16), value => (float)BitConverter.UInt16BitsToHalf(value));
        AssertSame(bits, Load(bits, ElementType.BFloat16), value => BitConverter.UInt32BitsToSingle((uint)value << 16));
    }

    [Fact]
    public void Storing_rounds_to_the_nearest()
    {
        var random = new Random();
        float[] values = [.. Enumerable.Range(0, 1001).Select(_ => (float)((random.NextDouble() - 0.5) * Math.Pow(2.0, random.Next(-20, 18))))];
        var halves = new ushort[values.Length];
        var upper = new ushort[values.Length];
        fixed (float* source = values)
        fixed (ushort* half = halves, bfloat16 = upper)
        {
            ElementRows.Store(source, (byte*)half, ElementType.Float16, values.Length);
            ElementRows.Store(source, (byte*)bfloat16, ElementType.BFloat16, values.Length);
        }

        Assert.Equal(values.Select(value => BitConverter.HalfToUInt16Bits((Half)value)), halves);
        Assert.Equal(values.Select(value => ((BFloat16)value).Bits), upper);
    }

    private static float[] Load(ushort[] bits, ElementType type)
    {
        var values = new float[bits.Length];
        fixed (ushort* source = bits)
        fixed (float* target = values)
            ElementRows.Load((byte*)source, type, target, bits.Length);
        return values;
    }

    private static void AssertSame(ushort[] bits, float[] actual, Func<ushort, float> convert)
    {
        for (int i = 0; i < bits.Length; i++)
        {
            float expected = convert(bits[i]);
            Assert.True(
                float.IsNaN(expected) ? float.IsNaN(actual[i]) : BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(actual[i]),
                $"{bits[i]:X4} is {actual[i]:R}, expected {expected:R}.");
        }
    }
}
