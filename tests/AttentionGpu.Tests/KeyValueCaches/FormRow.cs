using AttentionGpu.KeyValues;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>
/// A row in the form of a cache, quantised and read back by the definition in float64: the nearest of all codes, of two the even one.
/// </summary>
internal sealed class FormRow
{
    private static readonly double[] _float8 = [.. Enumerable.Range(0, 0x7F).Select(Float8)];

    private readonly KeyValueElement _element;
    private readonly byte[] _bytes;
    private readonly byte[] _scales;

    public FormRow(KeyValueElement element, ReadOnlySpan<byte> bytes, ReadOnlySpan<byte> scales)
    {
        _element = element;
        _bytes = bytes.ToArray();
        _scales = scales.ToArray();
    }

    public ReadOnlySpan<byte> Bytes => _bytes;

    public ReadOnlySpan<byte> Scales => _scales;

    public static FormRow Of(KeyValueElement element, ReadOnlySpan<double> values)
    {
        var row = new FormRow(
            element, new byte[element.RowBytes(values.Length)], new byte[element.ScaleBytes(values.Length)]);
        for (int i = 0; i < values.Length; i++)
        {
            if (element.IsQuantised())
                row.Encode(values, i);
            else
                row.StorePlain(i, values[i]);
        }

        return row;
    }

    /// <summary>The value of an element.</summary>
    public double this[int index] => _element switch
    {
        KeyValueElement.Float32 => BitConverter.ToSingle(_bytes, index * 4),
        KeyValueElement.Float16 => (double)BitConverter.ToHalf(_bytes, index * 2),
        KeyValueElement.BFloat16 => BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(_bytes, index * 2) << 16),
        KeyValueElement.Int8 => (sbyte)_bytes[index] * Scale(index),
        KeyValueElement.Int4 => ((((_bytes[index / 2] >> (index % 2 * 4)) & 15) ^ 8) - 8) * Scale(index),
        _ => ((_bytes[index] & 0x80) != 0 ? -1.0 : 1.0) * Float8(_bytes[index] & 0x7F) * Scale(index),
    };

    /// <summary>The scale of an element; 1 where there is none.</summary>
    public double Scale(int index) => _element switch
    {
        KeyValueElement.Int8 or KeyValueElement.Float8E4M3 => BitConverter.ToSingle(_scales),
        KeyValueElement.Int4 => (double)BitConverter.ToHalf(_scales, index / KeyValueElements.Int4Group * 2),
        _ => 1.0,
    };

    private void StorePlain(int index, double value)
    {
        float single = (float)value;
        if (_element == KeyValueElement.Float32)
            BitConverter.TryWriteBytes(_bytes.AsSpan(index * 4), single);
        else if (_element == KeyValueElement.Float16)
            BitConverter.TryWriteBytes(_bytes.AsSpan(index * 2), (Half)single);
        else
            BitConverter.TryWriteBytes(_bytes.AsSpan(index * 2), BFloat16(single));
    }

    private static ushort BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return float.IsNaN(value) ? (ushort)0x7FC0 : (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private void Encode(ReadOnlySpan<double> values, int index)
    {
        bool isInt4 = _element == KeyValueElement.Int4;
        int first = isInt4 ? index / KeyValueElements.Int4Group * KeyValueElements.Int4Group : 0;
        ReadOnlySpan<double> group =
            isInt4 ? values[first..Math.Min(values.Length, first + KeyValueElements.Int4Group)] : values;
        double largest = 0.0;
        foreach (double value in group)
            largest = double.IsFinite(value) ? Math.Max(largest, Math.Abs(value)) : double.NaN;
        if (isInt4)
        {
            var half = (Half)(float)(largest / 7.0);
            BitConverter.TryWriteBytes(_scales.AsSpan(index / KeyValueElements.Int4Group * 2), Half.IsInfinity(half) ? Half.NaN : half);
        }
        else
        {
            BitConverter.TryWriteBytes(_scales, (float)largest / (_element == KeyValueElement.Int8 ? 127f : 448f));
        }

        double scale = Scale(index);
        double units = double.IsNaN(scale) || scale == 0.0 ? 0.0 : values[index] / scale;
        if (_element == KeyValueElement.Int8)
            _bytes[index] = (byte)(sbyte)Math.Clamp(Math.Round(units), -127.0, 127.0);
        else if (isInt4)
            _bytes[index / 2] |= (byte)(((int)Math.Clamp(Math.Round(units), -7.0, 7.0) & 15) << (index % 2 * 4));
        else
            _bytes[index] = (byte)(Nearest(Math.Abs(units)) | (units < 0.0 ? 0x80 : 0));
    }

    private static int Nearest(double size)
    {
        int best = 0;
        for (int code = 1; code < _float8.Length; code++)
        {
            double gain = Math.Abs(_float8[best] - size) - Math.Abs(_float8[code] - size);
            if (gain > 0.0 || (gain == 0.0 && code % 2 == 0))
                best = code;
        }

        return best;
    }

    private static double Float8(int bits) => bits == 0x7F ? double.NaN
        : bits < 8 ? Math.ScaleB(bits, -9) : Math.ScaleB(8 + (bits & 7), (bits >> 3) - 10);
}
