using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// What a layer of a checkpoint computes besides its projections. Parameters do not tell it: a layer of Llama and one of OPT have the same
/// names.
/// </summary>
public sealed record MultiHeadAttentionLoadOptions
{
    /// <summary>Says that the layer has no positions, or (by default) nothing.</summary>
    public LayerPositions Positions { get; init; }

    /// <summary>Rotary embedding of queries and keys; null for none, or for what <c>config.json</c> says.</summary>
    public RotaryEmbedding? Rotary { get; init; }

    /// <summary>See <see cref="MultiHeadAttentionConfig.Window"/>.</summary>
    public AttentionWindow? Window { get; init; }

    /// <summary>See <see cref="MultiHeadAttentionConfig.Softcap"/>.</summary>
    public float? Softcap { get; init; }

    /// <summary>See <see cref="MultiHeadAttentionConfig.Scale"/>.</summary>
    public float? Scale { get; init; }

    /// <summary>
    /// What the norms of queries and keys add to the mean of squares. Giving it says that <c>q_norm.weight</c> and <c>k_norm.weight</c> are
    /// the factors of root-mean-square norms of each head, as they are (Gemma 3 stores them less 1).
    /// </summary>
    public float? NormEpsilon { get; init; }

    internal static MultiHeadAttentionLoadOptions Default { get; } = new();

    /// <summary>Whether the caller has decided on the positions.</summary>
    internal bool StatePositions => Positions != LayerPositions.Unstated || Rotary is not null;

    /// <exception cref="ArgumentException">A member is out of range, or contradicts another.</exception>
    internal void Validate()
    {
        const string argument = "options";
        if (!Enum.IsDefined(Positions))
            throw BadInput.OutOfRange(argument, Positions, "The option 'Positions' must be one of its named values.");
        if (Positions == LayerPositions.None && Rotary is not null)
            throw new ArgumentException("The option 'Rotary' must be left out where the option 'Positions' is None.", argument);
        Window?.Validate(argument);
        if (Softcap is float cap && !(float.IsFinite(cap) && cap > 0f))
            throw BadInput.OutOfRange(argument, cap, "The option 'Softcap' must be finite and more than 0.");
        if (Scale is float scale && !float.IsFinite(scale))
            throw BadInput.OutOfRange(argument, scale, "The option 'Scale' must be finite.");
        if (NormEpsilon is float epsilon && !(float.IsFinite(epsilon) && epsilon >= 0f))
            throw BadInput.OutOfRange(argument, epsilon, "The option 'NormEpsilon' must be finite and at least 0.");
    }
}
