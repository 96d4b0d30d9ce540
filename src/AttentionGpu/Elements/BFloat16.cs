using AttentionGpu.Kernels.Common.Elements;

namespace AttentionGpu;

/// <summary>
/// The upper half of a single: 8 exponent bits, 7 of the fraction. An element of tensors for attention; it stands for the framework's own
/// type
/// until there is one, and has the same bits.
/// </summary>
public readonly record struct BFloat16
{
    private BFloat16(ushort bits)
    {
        Bits = bits;
    }

    /// <summary>The sixteen bits.</summary>
    public ushort Bits { get; }

    /// <summary>The value with these bits.</summary>
    public static BFloat16 FromBits(ushort bits) => new(bits);

    /// <summary>The nearest value; of two the even one.</summary>
    public static explicit operator BFloat16(float value) => new(BFloat16Element.FromSingle(value).Bits);

    /// <summary>The same value.</summary>
    public static implicit operator float(BFloat16 value) => new BFloat16Element { Bits = value.Bits }.ToSingle();

    /// <inheritdoc/>
    public override string ToString() => ((float)this).ToString(System.Globalization.CultureInfo.InvariantCulture);
}
