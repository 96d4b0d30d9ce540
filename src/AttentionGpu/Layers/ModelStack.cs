using System.Diagnostics.CodeAnalysis;

namespace AttentionGpu;

/// <summary>Which part of a model a layer is in.</summary>
[SuppressMessage("Naming", "CA1711", Justification = "A stack of layers, as papers call it; no collection.")]
public enum ModelStack
{
    /// <summary>The encoder, or the only part of a model whose tokens see each other (BERT, ViT).</summary>
    Encoder,

    /// <summary>The decoder, or the only part of a model that continues a text (GPT-2, Llama).</summary>
    Decoder,

    /// <summary>The encoder of texts, of a model that has one of images besides (CLIP).</summary>
    Text,

    /// <summary>The encoder of images, of a model that has one of texts besides (CLIP).</summary>
    Vision,
}
