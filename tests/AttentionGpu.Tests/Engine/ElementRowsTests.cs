using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Elements;

namespace AttentionGpu.Tests.Engine;

/// <summary>Rows of 16-bit elements, converted by vectors, against single conversions of the framework.</summary>
public unsafe class ElementRowsTests
{
    private const int All = ushort.MaxValue + 1;
    private const ushort Untouched = 0x5A5A;

    [Theory]
    [InlineData(All)]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
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

    /// <summary>Ties, the largest numbers, the smallest, infinity and NaN; alone, and among others that are stored together.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    [InlineData(17)]
    public void Storing_rounds_at_the_borders_as_single_conversions_do(int count)
    {
        float[] borders =
        [
            0f, -0f, 1f, -1f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, BitConverter.UInt32BitsToSingle(0x7F800001),
            float.MaxValue, float.MinValue, float.Epsilon, -float.Epsilon, 1.17549435e-38f,

            // float16: the largest, the last that is rounded to it, the tie that becomes infinity; the smallest, ties with 0 and beside.
            65504f, 65519.996f, 65520f, 6.1035156e-5f, 5.9604645e-8f, 2.9802322e-8f, 2.9802326e-8f, 8.940697e-8f,

            // Ties to even, up and down: halves of the last bit of float16 and of bfloat16.
            1f + 1f / 2048, 1f + 3f / 2048, 1f + 1f / 256, 1f + 3f / 256, BitConverter.UInt32BitsToSingle(0x3F808001),

            // bfloat16: the largest, and the tie that becomes infinity.
            BitConverter.UInt32BitsToSingle(0x7F7F0000), BitConverter.UInt32BitsToSingle(0x7F7F7FFF),
            BitConverter.UInt32BitsToSingle(0x7F7F8000),
        ];
        foreach (float border in borders)
        {
            for (int place = 0; place < count; place++)
            {
                float[] values = Enumerable.Repeat(1f, count).ToArray();
                values[place] = border;
                Assert.Equal(values.Select(value => BitConverter.HalfToUInt16Bits((Half)value)), Store(values, ElementType.Float16));
                Assert.Equal(values.Select(BFloat16Bits), Store(values, ElementType.BFloat16));
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(17)]
    public void Filling_gives_the_value_alone(int count)
    {
        foreach (ElementType type in new[] { ElementType.Float32, ElementType.Float16, ElementType.BFloat16 })
        {
            foreach (float value in new[] { 0f, float.NegativeInfinity })
            {
                var bits = new ushort[2 * count + 2];
                Array.Fill(bits, Untouched);
                var values = new float[count];
                fixed (ushort* target = bits)
                fixed (float* loaded = values)
                {
                    ElementRows.Fill((byte*)target, type, count, value);
                    ElementRows.Load((byte*)target, type, loaded, count);
                }

                Assert.All(values, one => Assert.Equal(value, one));
                Assert.All(bits[(count * type.Size() / sizeof(ushort))..], one => Assert.Equal(Untouched, one));
            }
        }
    }

    [Fact]
    public void An_unknown_element_type_is_refused()
    {
        const ElementType unknown = (ElementType)99;
        float number = 0f;
        float* value = &number;
        Assert.Throws<ArgumentOutOfRangeException>(() => ElementRows.Load((byte*)value, unknown, value, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ElementRows.Store(value, (byte*)value, unknown, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => ElementRows.Fill((byte*)value, unknown, 1, 0f));
    }

    // The nearest of 16 bits, ties to even; any NaN is the quiet one without a sign.
    private static ushort BFloat16Bits(float value)
    {
        if (float.IsNaN(value))
            return 0x7FC0;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint rest = bits & 0xFFFF;
        uint upper = bits >> 16;
        return (ushort)(rest > 0x8000 || (rest == 0x8000 && (upper & 1) == 1) ? upper + 1 : upper);
    }

    // One element more than there are: it must stay as it is.
    private static ushort[] Store(float[] values, ElementType type)
    {
        var bits = new ushort[values.Length + 1];
        bits[^1] = Untouched;
        fixed (float* source = values)
        fixed (ushort* target = bits)
            ElementRows.Store(source, (byte*)target, type, values.Length);
        Assert.Equal(Untouched, bits[^1]);
        return bits[..^1];
    }

    private static float[] Load(ushort[] bits, ElementType type)
    {
        const float untouched = 12345f;
        var values = new float[bits.Length + 1];
        values[^1] = untouched;
        fixed (ushort* source = bits)
        fixed (float* target = values)
            ElementRows.Load((byte*)source, type, target, bits.Length);
        Assert.Equal(untouched, values[^1]);
        return values[..^1];
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
