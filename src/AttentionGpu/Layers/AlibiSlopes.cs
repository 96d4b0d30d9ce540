using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>
/// The slopes of ALiBi as its authors' code makes them (Press and others, 2022), and BLOOM's: for n heads, a power of two,
/// <c>2^(-8 i / n)</c>, i from 1 on; otherwise those of the next smaller power, and then every second one of the next larger.
/// </summary>
internal static class AlibiSlopes
{
    public static Tensor<float> Of(int heads)
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
}
