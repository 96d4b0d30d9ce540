namespace AttentionGpu.KeyValues;

/// <summary>
/// The definition of quantisation, a row at a time, in float32: what <see cref="KeyValueElement"/> says. Backends have code of their own;
/// this is the reference's, and that of rows which are read back.
/// </summary>
internal static unsafe class QuantisedRow
{
    /// <summary>Quantises a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="element">The quantised type.</param>
    /// <param name="target">The row's bytes.</param>
    /// <param name="scales">The row's scales.</param>
    public static void Encode(ReadOnlySpan<float> row, KeyValueElement element, byte* target, byte* scales)
    {
        if (element != KeyValueElement.Int4)
        {
            float scale = Scale(row, element == KeyValueElement.Int8 ? KeyValueElements.LargestInt8 : KeyValueElements.LargestFloat8);
            *(float*)scales = scale;
            for (int i = 0; i < row.Length; i++)
                target[i] = Encode(row[i], scale, element);
            return;
        }

        new Span<byte>(target, KeyValueElement.Int4.RowBytes(row.Length)).Clear();
        for (int first = 0; first < row.Length; first += KeyValueElements.Int4Group)
        {
            ReadOnlySpan<float> group = row[first..Math.Min(row.Length, first + KeyValueElements.Int4Group)];
            var scale = (Half)Scale(group, KeyValueElements.LargestInt4);
            if (!Half.IsFinite(scale))
                scale = Half.NaN;
            ((Half*)scales)[first / KeyValueElements.Int4Group] = scale;
            for (int i = 0; i < group.Length; i++)
                target[(first + i) / 2] |= (byte)((Whole(group[i], (float)scale, KeyValueElements.LargestInt4) & 0xF) << 4 * (i % 2));
        }
    }

    /// <summary>An element of a quantised row.</summary>
    /// <param name="row">The row's bytes.</param>
    /// <param name="scales">The row's scales.</param>
    /// <param name="element">The quantised type.</param>
    /// <param name="index">The number of the element.</param>
    public static float Decode(byte* row, byte* scales, KeyValueElement element, int index) => element switch
    {
        KeyValueElement.Int8 => (sbyte)row[index] * *(float*)scales,
        KeyValueElement.Float8E4M3 => Float8(row[index]) * *(float*)scales,
        KeyValueElement.Int4 => ((sbyte)(row[index / 2] << 4 * (1 - index % 2)) >> 4)
            * (float)((Half*)scales)[index / KeyValueElements.Int4Group],
        _ => throw KeyValueElements.Unknown(element),
    };

    private static byte Encode(float value, float scale, KeyValueElement element) => element switch
    {
        KeyValueElement.Int8 => (byte)Whole(value, scale, KeyValueElements.LargestInt8),
        KeyValueElement.Float8E4M3 => scale is 0f or float.NaN ? (byte)0 : ToFloat8(value / scale),
        _ => throw KeyValueElements.Unknown(element),
    };

    // The largest size / what stands for it; NaN where an element is not finite.
    private static float Scale(ReadOnlySpan<float> row, float largest)
    {
        float most = 0f;
        foreach (float value in row)
        {
            if (!float.IsFinite(value))
                return float.NaN;
            most = Math.Max(most, Math.Abs(value));
        }

        return most / largest;
    }

    private static sbyte Whole(float value, float scale, float largest) =>
        scale is 0f or float.NaN ? (sbyte)0 : (sbyte)Math.Clamp(MathF.Round(value / scale, MidpointRounding.ToEven), -largest, largest);

    // Sign, 4 bits of exponent with a bias of 7, 3 bits of fraction; all ones is NaN, and there is no infinity.
    private static float Float8(byte bits)
    {
        int exponent = (bits >> 3) & 0xF;
        int fraction = bits & 7;
        float size = (bits & 0x7F) == 0x7F ? float.NaN
            : exponent == 0 ? fraction * (1f / 512f)
            : (8 + fraction) * MathF.ScaleB(1f, exponent - 10);
        return (bits & 0x80) != 0 ? -size : size;
    }

    // Of at most 448.5 in size: the scale is rounded. The last place is 2^(exponent - 3), and 2^-9 below the normal numbers.
    private static byte ToFloat8(float value)
    {
        float size = Math.Abs(value);
        int exponent = size < 1f / 64f ? -6 : Math.ILogB(size);
        int steps = (int)MathF.Round(size * MathF.ScaleB(1f, 3 - exponent), MidpointRounding.ToEven);

        // 8 to 15 steps are a normal number's; 16 are the next exponent's first.
        int bits = steps < 8 ? steps : Math.Min(((exponent + 6) << 3) + steps, 0x7E);
        return (byte)(bits | (float.IsNegative(value) ? 0x80 : 0));
    }
}
