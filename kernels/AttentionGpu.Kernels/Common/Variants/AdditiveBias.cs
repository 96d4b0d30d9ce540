using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Variants;

/// <summary>A float per query and key, broadcast by strides, added to the score: -inf hides the key.</summary>
public struct AdditiveBias : IScoreVariant
{
    /// <summary>The bias's values.</summary>
    public ArrayView<float> Data;

    /// <summary>Where a query's and key's value is.</summary>
    public MaskStrides Strides;

    /// <inheritdoc/>
    public static bool IsIdentity => false;

    /// <inheritdoc/>
    public static bool ScansBlocks => true;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly bool IsVisible(SequenceHead head, int query, int key) => Value(head, query, key) != float.NegativeInfinity;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Apply(float score, SequenceHead head, int query, int key)
    {
        float value = Value(head, query, key);

        // Hidden whatever the score: the scores of keys that hold no data may be NaN.
        return value == float.NegativeInfinity ? value : score + value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly float Value(SequenceHead head, int query, int key) => Data[Strides.Offset(head.Batch, head.Head, query, key)];
}
