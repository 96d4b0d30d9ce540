namespace AttentionGpu.Kernels.Common.Elements;

/// <summary>
/// How a tensor's elements are stored. The struct is the storage itself; kernels are generic over it, convert when they load into shared
/// memory and when they store, and compute in float32.
/// </summary>
public interface IElement<TSelf>
    where TSelf : unmanaged, IElement<TSelf>
{
    /// <summary>Whether an element holds any float32 as it is: sums can then be kept in the memory of elements.</summary>
    static abstract bool HoldsSingle { get; }

    /// <summary>The value, exactly.</summary>
    float ToSingle();

    /// <summary>The nearest value that can be stored; of two the even one. Too large ones become infinite.</summary>
    static abstract TSelf FromSingle(float value);
}
