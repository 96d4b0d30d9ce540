using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// The slopes of ALiBi (Press and others, 2022): for n heads, a power of two, <c>2^(-8 i / n)</c>, i from 1 on. Models differ for other
/// numbers of heads.
/// </summary>
internal static class AlibiSlopes
{
    /// <summary>
    /// The authors' code, and BLOOM's: the slopes of the next smaller power of two, and then every second one of the next larger.
    /// </summary>
    public static Tensor<float> OfBloom(int heads)
    {
        int power = 1;
        while (power <= heads / 2)
            power *= 2;
        var slopes = new float[heads];
        for (int head = 0; head < heads; head++)
        {
            double exponent = head < power ? 8.0 * (head + 1) / power : 4.0 * (2 * (head - power) + 1) / power;
            slopes[head] = (float)Math.Pow(2.0, -exponent);
        }

        return Tensor.Create(slopes, [heads]);
    }

    /// <summary>
    /// MPT's: every second slope of the next larger power of two, from the second on, and then the others; with a largest exponent of its
    /// own in the place of 8.
    /// </summary>
    public static Tensor<float> OfMpt(int heads, double largestExponent)
    {
        int power = 1;
        while (power < heads)
            power *= 2;
        var slopes = new float[heads];
        for (int head = 0; head < heads; head++)
        {
            int place = power == heads ? head + 1 : head < power / 2 ? 2 * (head + 1) : 2 * (head - power / 2) + 1;
            slopes[head] = (float)Math.Pow(2.0, -place * largestExponent / power);
        }

        return Tensor.Create(slopes, [heads]);
    }
}
