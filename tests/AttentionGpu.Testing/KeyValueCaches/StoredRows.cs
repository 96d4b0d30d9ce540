
namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>
/// The definition of how caches store a row, written apart from the product's: the numbers that attention reads of what was written, by
/// tables of all values that a type has.
/// </summary>
internal static class StoredRows
{
    private static readonly double[] _float8 = [.. Enumerable.Range(0, 127).Select(Float8)];

    /// <summary>What a cache has of a row.</summary>
    public static double[] Store(double[] row, KeyValueElement element) => element switch
    {
        KeyValueElement.Float32 => [.. row.Select(value => (double)(float)value)],
        KeyValueElement.Float16 => [.. row.Select(value => (double)(Half)(float)value)],
        KeyValueElement.BFloat16 => [.. row.Select(value => (double)(float)(BFloat16)(float)value)],
        KeyValueElement.Int8 => Scaled(row, 127, value => Math.Round(value, MidpointRounding.ToEven), scale => scale),
        KeyValueElement.Float8E4M3 => Scaled(row, 448, Nearest8, scale => scale),
        _ => [.. row.Chunk(32).SelectMany(group => Scaled(
            group, 7, value => Math.Clamp(Math.Round(value, MidpointRounding.ToEven), -7, 7), scale => (float)(Half)scale))],
    };

    /// <summary>
    /// By how much a stored number may be another, where a device's arithmetic before it differs in its last bits: a step of the type.
    /// </summary>
    public static double Step(double[] row, KeyValueElement element, double value)
    {
        double most = row.Length == 0 ? 0 : row.Max(Math.Abs);
        return element switch
        {
            KeyValueElement.Float32 => 2e-6 * (1 + most),
            KeyValueElement.Float16 => Math.Pow(2, -10) * Math.Abs(value) + 1e-6,
            KeyValueElement.BFloat16 => Math.Pow(2, -7) * Math.Abs(value) + 1e-6,
            KeyValueElement.Int8 => 1.01 * most / 127,
            KeyValueElement.Float8E4M3 => Math.Abs(value) / 7.9 + 1.01 * most / 448 / 512,
            _ => 1.02 * most / 7,
        };
    }

    private static double[] Scaled(double[] row, float largest, Func<double, double> nearest, Func<float, float> stored)
    {
        float scale = stored(row.Max(value => Math.Abs((float)value)) / largest);
        return scale == 0 ? new double[row.Length] : [.. row.Select(value => (float)nearest((float)value / scale) * (double)scale)];
    }

    // Sign apart: the value of each of the 127 finite codes.
    private static double Float8(int code) =>
        code < 8 ? code / 512.0 : (1 + code % 8 / 8.0) * Math.Pow(2, code / 8 - 7);

    private static double Nearest8(double value)
    {
        double size = Math.Abs(value);
        int best = 0;
        for (int code = 1; code < _float8.Length; code++)
        {
            double closer = Math.Abs(_float8[best] - size) - Math.Abs(_float8[code] - size);
            if (closer > 0 || (closer == 0 && code % 2 == 0))
                best = code;
        }

        return Math.CopySign(_float8[best], value);
    }
}
