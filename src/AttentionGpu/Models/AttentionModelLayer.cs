using AttentionGpu.Models;

namespace AttentionGpu;

/// <summary>An attention layer of an <see cref="AttentionModel"/>, as it was found; its parameters are not read yet.</summary>
public sealed record AttentionModelLayer
{
    internal AttentionModelLayer(ModelLayerReader reader) => Reader = reader;

    /// <summary>The part of the model that it is in.</summary>
    public required ModelStack Stack { get; init; }

    /// <summary>Its number in the part, from 0 on.</summary>
    public required int Index { get; init; }

    /// <summary>Whether keys and values come from the encoder's output, rather than from the same tokens as queries.</summary>
    public required bool IsCross { get; init; }

    /// <summary>
    /// Whether the model lets a token see only itself and those before, which is an argument of a call: <see cref="Causal"/>.
    /// </summary>
    public required bool IsCausal { get; init; }

    /// <summary>What stands before the names of its tensors, without the final dot.</summary>
    public required string Prefix { get; init; }

    /// <summary>The type of its matrices' elements: float, Half or BFloat16; float where they differ or are doubles.</summary>
    public required Type ElementType { get; init; }

    /// <summary>Its sizes and variants, as the configuration and the shapes tell them.</summary>
    public required MultiHeadAttentionConfig Config { get; init; }

    /// <summary>
    /// What it computes besides, in words: causality, rotary embedding, window, scale, soft capping, norms, ALiBi, relative bias, sinks;
    /// empty for nothing.
    /// </summary>
    public required string Variant { get; init; }

    /// <summary><see cref="Prefix"/> with N in place of the number.</summary>
    internal string Pattern => Reader.Pattern;

    internal ModelLayerReader Reader { get; }
}
