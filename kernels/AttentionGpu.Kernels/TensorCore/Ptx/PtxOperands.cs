using System.Globalization;

namespace AttentionGpu.Kernels.TensorCore.Ptx;

/// <summary>An operand of a type: a register of a text, or a constant.</summary>
public interface IPtxOperand<TSelf>
    where TSelf : struct, IPtxOperand<TSelf>
{
    /// <summary>The type as <c>.reg</c> names it.</summary>
    static abstract string Type { get; }

    /// <summary>What the names of registers of the type start with.</summary>
    static abstract string Prefix { get; }

    /// <summary>The register or the constant, as it stands in an instruction.</summary>
    string Text { get; }

    /// <summary>The operand that stands so in an instruction.</summary>
    static abstract TSelf Named(string text);
}

/// <summary>32 bits: a whole number with or without a sign, an address in shared memory, or two elements of 16 bits.</summary>
public readonly record struct Word(string Text) : IPtxOperand<Word>
{
    /// <inheritdoc/>
    public static string Type => "b32";

    /// <inheritdoc/>
    public static string Prefix => "%r";

    /// <inheritdoc/>
    public static Word Named(string text) => new(text);

    /// <summary>A constant.</summary>
    public static implicit operator Word(int value) => new(value.ToString(CultureInfo.InvariantCulture));
}

/// <summary>16 bits: an element, which only conversions read.</summary>
public readonly record struct HalfWord(string Text) : IPtxOperand<HalfWord>
{
    /// <inheritdoc/>
    public static string Type => "b16";

    /// <inheritdoc/>
    public static string Prefix => "%h";

    /// <inheritdoc/>
    public static HalfWord Named(string text) => new(text);
}

/// <summary>64 bits: an address in the device's memory, or a distance.</summary>
public readonly record struct Wide(string Text) : IPtxOperand<Wide>
{
    /// <inheritdoc/>
    public static string Type => "b64";

    /// <inheritdoc/>
    public static string Prefix => "%rd";

    /// <inheritdoc/>
    public static Wide Named(string text) => new(text);

    /// <summary>A constant.</summary>
    public static implicit operator Wide(long value) => new(value.ToString(CultureInfo.InvariantCulture));
}

/// <summary>A float32.</summary>
public readonly record struct Real(string Text) : IPtxOperand<Real>
{
    /// <inheritdoc/>
    public static string Type => "f32";

    /// <inheritdoc/>
    public static string Prefix => "%f";

    /// <inheritdoc/>
    public static Real Named(string text) => new(text);

    /// <summary>A constant.</summary>
    public static implicit operator Real(float value) => new($"0f{BitConverter.SingleToUInt32Bits(value):X8}");
}

/// <summary>A truth value.</summary>
public readonly record struct Predicate(string Text) : IPtxOperand<Predicate>
{
    /// <inheritdoc/>
    public static string Type => "pred";

    /// <inheritdoc/>
    public static string Prefix => "%p";

    /// <inheritdoc/>
    public static Predicate Named(string text) => new(text);
}
