using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Matmul;

/// <summary>What happens to a finished element of a product before it is stored.</summary>
public interface IEpilogue
{
    /// <summary>The value to store.</summary>
    float Apply(float value, int column);
}

/// <summary>Multiplies by a constant.</summary>
public struct ScaleEpilogue : IEpilogue
{
    /// <summary>The constant.</summary>
    public float Scale;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float value, int column) => value * Scale;
}

/// <summary>Adds a bias per column.</summary>
public struct BiasEpilogue<TElement> : IEpilogue
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>One value a column.</summary>
    public ArrayView<TElement> Bias;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float value, int column) => value + Bias[column].ToSingle();
}
