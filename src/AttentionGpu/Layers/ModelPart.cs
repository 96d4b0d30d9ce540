namespace AttentionGpu.Layers;

/// <summary>A part of a model that is made of models of other types.</summary>
/// <param name="Section">The member of <c>config.json</c> that is the part's own configuration.</param>
/// <param name="ModelType">The part's <c>model_type</c> where the section does not say it.</param>
/// <param name="Root">A name before the names of the part's layers; null where the names themselves tell the part.</param>
internal sealed record ModelPart(string Section, string ModelType, string? Root = null)
{
    /// <summary>Members that the section may leave out, beside those of the type: <see cref="ModelFamily.Defaults"/>.</summary>
    public string Defaults { get; init; } = "{}";

    /// <summary>Why the part's layers cannot be computed; null where they can.</summary>
    public string? Refusal { get; init; }
}
