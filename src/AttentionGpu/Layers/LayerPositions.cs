namespace AttentionGpu;

/// <summary>What the caller says of the positions in a layer of a checkpoint.</summary>
public enum LayerPositions
{
    /// <summary>
    /// Nothing, unless there is a <see cref="MultiHeadAttentionLoadOptions.Rotary"/>: the model's <c>config.json</c> must say it where
    /// names do not.
    /// </summary>
    Unstated,

    /// <summary>The layer itself has none: they are added to its input, if at all (BART, OPT, CLIP, Whisper).</summary>
    None,
}
