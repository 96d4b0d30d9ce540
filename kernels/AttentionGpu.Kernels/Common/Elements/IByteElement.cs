namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>An element of a byte, in units of the scale of its row.</summary>
public interface IByteElement
{
    /// <summary>The largest value that can be stored: a row's scale is its largest element by it.</summary>
    static abstract float Largest { get; }

    /// <summary>The value, exactly.</summary>
    static abstract float ToSingle(byte bits);

    /// <summary>
    /// The nearest value that can be stored; of two the even one. Those larger than <see cref="Largest"/> become it.
    /// </summary>
    static abstract byte FromSingle(float value);
}
