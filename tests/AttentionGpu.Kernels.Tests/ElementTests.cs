using AttentionGpu.Kernels.Common.Elements;

namespace AttentionGpu.Kernels.Tests;

/// <summary>Conversions by whole-number operations, against the framework's.</summary>
public class ElementTests
{
    [Fact]
    public void Every_half_becomes_its_value()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            float expected = (float)BitConverter.UInt16BitsToHalf((ushort)bits);
            float actual = new HalfElement { Bits = (ushort)bits }.ToSingle();
            Assert.True(expected.Equals(actual) && float.IsNegative(expected) == float.IsNegative(actual), $"{bits:X4} is {actual:R}, expected {expected:R}.");
        }
    }

    [Fact]
    public void Singles_become_the_nearest_half()
    {
        foreach (float value in Singles())
        {
            ushort expected = BitConverter.HalfToUInt16Bits((Half)value);
            ushort actual = HalfElement.FromSingle(value).Bits;
            Assert.True(
                expected == actual || (float.IsNaN(value) && Half.IsNaN(BitConverter.UInt16BitsToHalf(actual))),
                $"{value:R} is {actual:X4}, expected {expected:X4}.");
        }
    }

    [Fact]
    public void Singles_become_the_nearest_bfloat16()
    {
        foreach (float value in Singles())
        {
            float actual = BFloat16Element.FromSingle(value).ToSingle();
            if (float.IsNaN(value))
            {
                Assert.True(float.IsNaN(actual));
                continue;
            }

            // Rounded in float64 to 8 significant bits, ties to even.
            double size = Math.ScaleB(1.0, Math.Max(-126, value == 0f || !float.IsFinite(value) ? 0 : Math.ILogB(value)) - 7);
            double expected = float.IsFinite(value) ? Math.Round(value / size, MidpointRounding.ToEven) * size : value;
            Assert.Equal(expected > Math.ScaleB(255.0, 120) ? double.PositiveInfinity : expected < -Math.ScaleB(255.0, 120) ? double.NegativeInfinity : expected, actual);
        }
    }

    // All exponents with random fractions, ties, halves of the smallest steps, and the ends.
    private static IEnumerable<float> Singles()
    {
        var random = new Random(31);
        for (int i = 0; i < 300_000; i++)
        {
            uint bits = (uint)random.NextInt64(1L << 32);
            yield return BitConverter.UInt32BitsToSingle(bits);
            yield return BitConverter.UInt32BitsToSingle(bits & 0xFFFFF000);
            yield return BitConverter.UInt32BitsToSingle(bits & 0xFFFF8000);
            yield return (float)(random.NextDouble() * Math.Pow(2.0, random.Next(-30, 18)));
        }

        foreach (float value in (float[])[0f, -0f, 65504f, 65519.996f, 65520f, 5.9604645e-8f, 2.9802322e-8f, 2.98023259e-8f, 6.1035156e-5f,
            float.MaxValue, float.Epsilon, float.PositiveInfinity, float.NegativeInfinity, float.NaN])
        {
            yield return value;
        }
    }
}
