using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Decoding;

/// <summary>The sizes of attention of few queries whose keys are split into parts, and the parts' results.</summary>
public struct DecodeArguments
{
    /// <summary>Keys of a part, on every device and in every batch: a sequence's results depend on nothing else.</summary>
    public const int PartKeys = 512;

    /// <summary>Queries of a sequence at most; one with more is left out.</summary>
    public const int MaxQueries = 8;

    /// <summary>The sizes of attention; its <see cref="AttentionArguments.QueryLength"/> is at most <see cref="MaxQueries"/>.</summary>
    public AttentionArguments Attention;

    /// <summary>Parts of the longest sequence.</summary>
    public int Parts;

    /// <summary>[batch, heads, query length, parts, value head size]: the parts' outputs.</summary>
    public ArrayView<float> Outputs;

    /// <summary>[batch, heads, query length, parts]: the logarithms of the parts' sums of exponentials.</summary>
    public ArrayView<float> LogSumExp;

    /// <summary>The number of a part of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Part(int matrix, int query, int part) =>
        ((long)matrix * Attention.QueryLength + query) * Parts + part;

    /// <summary>A batch entry's sequence; one without queries where it is left out.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly Sequence Sequence(ArrayView<Sequence> sequences, int batch)
    {
        Sequence sequence = Attention.HasSequences != 0 ? sequences[batch] : Attention.Sequence;
        if (sequence.QueryLength > MaxQueries)
            sequence.QueryLength = 0;
        return sequence;
    }
}
