using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Commands;

/// <summary>The tensors that a layer runs on, read and checked against each other.</summary>
internal sealed record RunInputs
{
    /// <summary>[batch, length, embedding]; [tokens, embedding] where there are <see cref="SequenceLengths"/>.</summary>
    public required Tensor<float> Input { get; init; }

    /// <summary>[batch, key length, key size]: keys and values come from it; null for the input itself.</summary>
    public Tensor<float>? Context { get; init; }

    /// <summary>[batch, key length]: true where a key is padding.</summary>
    public Tensor<bool>? KeyPadding { get; init; }

    /// <summary>[batch, length], or [1, tokens] of ragged sequences: positions for rotary embedding.</summary>
    public Tensor<int>? PositionIds { get; init; }

    /// <summary>Tokens of each ragged sequence; null for a batch.</summary>
    public int[]? SequenceLengths { get; init; }

    /// <summary>Queries and keys of each batch entry or sequence.</summary>
    public IReadOnlyList<(nint Queries, nint Keys)> Sequences => SequenceLengths is int[] lengths
        ? [.. lengths.Select(length => ((nint)length, (nint)length))]
        : [.. Enumerable.Repeat((Input.Lengths[1], (Context ?? Input).Lengths[1]), (int)Input.Lengths[0])];

    /// <summary>Where each ragged sequence starts, and where the last one ends; empty for a batch.</summary>
    public int[] CumulativeLengths()
    {
        if (SequenceLengths is not int[] lengths)
            return [];
        var starts = new int[lengths.Length + 1];
        for (int i = 0; i < lengths.Length; i++)
            starts[i + 1] = starts[i] + lengths[i];
        return starts;
    }
}
