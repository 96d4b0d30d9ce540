using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Elements;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Matmul;

/// <summary>What happens to a finished element of a product before it is stored.</summary>
public interface IEpilogue
{
    /// <summary>The number that the elements of a column are changed by.</summary>
    float Operand(int column);

    /// <summary>The value to store.</summary>
    float Apply(float value, float operand);
}

/// <summary>Multiplies by a constant.</summary>
public struct ScaleEpilogue : IEpilogue
{
    /// <summary>The constant.</summary>
    public float Scale;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Operand(int column) => Scale;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float value, float operand) => value * operand;
}

/// <summary>Adds a bias per column.</summary>
public struct BiasEpilogue<TElement> : IEpilogue
    where TElement : unmanaged, IElement<TElement>
{
    /// <summary>One value a column.</summary>
    public ArrayView<TElement> Bias;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Operand(int column) => Bias[column].ToSingle();

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float value, float operand) => value + operand;
}
