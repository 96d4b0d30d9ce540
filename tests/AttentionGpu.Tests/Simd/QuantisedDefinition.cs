namespace AttentionGpu.Tests.Simd;

/// <summary>
/// What quantised rows are, one element at a time and by search: independent of the engine's own code. Rows of floats are kept as well, so
/// that a test has the numbers that the stored row stands for.
/// </summary>
internal static class QuantisedDefinition
{
    private const int Group = 32;

    // The sizes of E4M3 by code, without NaN.
    private static readonly double[] _float8 = [.. Enumerable.Range(0, 127).Select(Float8)];

    /// <summary>The bytes and the scales of a row.</summary>
    public static (byte[] Bytes, byte[] Scales) Encode(float[] row, KeyValueElement element)
    {
        switch (element)
        {
            case KeyValueElement.Float32:
                return ([.. row.SelectMany(BitConverter.GetBytes)], []);
            case KeyValueElement.Float16:
                return ([.. row.SelectMany(value => BitConverter.GetBytes((Half)value))], []);
            case KeyValueElement.BFloat16:
                return ([.. row.SelectMany(value => BitConverter.GetBytes(ToBFloat16(value)))], []);
            case KeyValueElement.Int8:
                float scale = Largest(row) / 127f;
                return ([.. row.Select(value => (byte)Whole(value, scale, 127))], BitConverter.GetBytes(scale));
            case KeyValueElement.Float8E4M3:
                scale = Largest(row) / 448f;
                return ([.. row.Select(value => ToFloat8(value, scale))], BitConverter.GetBytes(scale));
            default:
                return EncodeInt4(row);
        }
    }

    /// <summary>The numbers that a stored row stands for.</summary>
    public static double[] Decode(byte[] bytes, byte[] scales, KeyValueElement element, int size) =>
        [.. Enumerable.Range(0, size).Select(i => element switch
        {
            KeyValueElement.Float32 => BitConverter.ToSingle(bytes, 4 * i),
            KeyValueElement.Float16 => (double)BitConverter.ToHalf(bytes, 2 * i),
            KeyValueElement.BFloat16 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(bytes, 2 * i) << 16),
            KeyValueElement.Int8 => (double)(sbyte)bytes[i] * BitConverter.ToSingle(scales),
            KeyValueElement.Float8E4M3 => (bytes[i] & 0x7F) == 0x7F
                ? double.NaN
                : (bytes[i] < 0x80 ? 1.0 : -1.0) * _float8[bytes[i] & 0x7F] * BitConverter.ToSingle(scales),
            _ => Signed((bytes[i / 2] >> (i % 2 * 4)) & 0xF) * (double)BitConverter.ToHalf(scales, i / Group * 2),
        })];

    private static (byte[] Bytes, byte[] Scales) EncodeInt4(float[] row)
    {
        var bytes = new byte[(row.Length + 1) / 2];
        var scales = new List<byte>();
        for (int first = 0; first < row.Length; first += Group)
        {
            float[] group = row[first..Math.Min(first + Group, row.Length)];
            var scale = (Half)(Largest(group) / 7f);
            if (Half.IsInfinity(scale))
                scale = Half.NaN;
            scales.AddRange(BitConverter.GetBytes(scale));
            for (int i = 0; i < group.Length; i++)
                bytes[(first + i) / 2] |= (byte)((Whole(group[i], (float)scale, 7) & 0xF) << ((first + i) % 2 * 4));
        }

        return (bytes, [.. scales]);
    }

    private static float Largest(float[] row) => row.All(float.IsFinite) ? row.Max(MathF.Abs) : float.NaN;

    private static int Whole(float value, float scale, int largest) =>
        scale > 0f ? (int)Math.Clamp(Math.Round((double)(value / scale)), -largest, largest) : 0;

    private static int Signed(int nibble) => nibble < 8 ? nibble : nibble - 16;

    // Of the number below and the one above the nearest, and of two that are as near the even one.
    private static ushort ToBFloat16(float value)
    {
        int below = BitConverter.SingleToInt32Bits(value) >>> 16;
        if (float.IsNaN(value))
            return 0x7FC0;
        if (float.IsInfinity(value))
            return (ushort)below;
        double Distance(int code) => Math.Abs((double)BitConverter.Int32BitsToSingle(code << 16) - value);
        (double down, double up) = (Distance(below), Distance(below + 1));
        return (ushort)(down < up || (down == up && below % 2 == 0) ? below : below + 1);
    }

    private static double Float8(int code) => code < 8
        ? code * Math.Pow(2.0, -9)
        : (1.0 + code % 8 / 8.0) * Math.Pow(2.0, code / 8 - 7);

    // The nearest of all codes, and of two that are as near the even one.
    private static byte ToFloat8(float value, float scale)
    {
        if (!(scale > 0f))
            return 0;
        float quotient = value / scale;
        double size = Math.Abs((double)quotient);
        int above = Array.BinarySearch(_float8, size);
        above = Math.Min(above < 0 ? ~above : above, _float8.Length - 1);
        int below = Math.Max(0, above - 1);
        (double down, double up) = (size - _float8[below], _float8[above] - size);
        int code = down < up || (down == up && below % 2 == 0) ? below : above;
        return (byte)(code | (float.IsNegative(quotient) ? 0x80 : 0));
    }
}
