namespace AttentionGpu.Tests.Models.Definitions;

/// <summary>All families, by name. A new one is one line and its definition.</summary>
internal static class FamilyDefinitions
{
    public static IReadOnlyDictionary<string, FamilyDefinition> All { get; } = new FamilyDefinition[]
    {
        EncoderFamilies.Bert(), EncoderFamilies.MiniLm(), EncoderFamilies.MultilingualBert(), EncoderFamilies.Roberta(),
        EncoderFamilies.XlmRoberta(), EncoderFamilies.Camembert(), EncoderFamilies.Electra(), EncoderFamilies.DistilBert(),
        EncoderFamilies.Vit(), EncoderFamilies.Deit(), EncoderFamilies.Dinov2(), EncoderFamilies.TimmVit(), EncoderFamilies.ModernBert(),
        EncoderFamilies.ModernBertOfTransformers5(), EncoderFamilies.Clip(), EncoderFamilies.ClipText(), EncoderFamilies.ClipVision(),
        SequenceFamilies.Bart(), SequenceFamilies.Marian(), SequenceFamilies.Nllb(), SequenceFamilies.Pegasus(),
        SequenceFamilies.Whisper(), SequenceFamilies.Opt(),
        T5Families.MpNet(), T5Families.T5(), T5Families.T5Encoder(), T5Families.Mt5(), T5Families.Umt5(),
        SamFamilies.MaskDecoder(),
        LlamaFamilies.Llama1(), LlamaFamilies.Llama2(), LlamaFamilies.Llama3(), LlamaFamilies.Vicuna(), LlamaFamilies.DynamicLlama(),
        LlamaFamilies.LlamaOfTransformers5(), LlamaFamilies.BiasedLlama(), LlamaFamilies.Mistral(), LlamaFamilies.MistralNemo(),
        LlamaFamilies.Mixtral(), LlamaFamilies.Starcoder2(), LlamaFamilies.Olmo(), LlamaFamilies.Granite(), LlamaFamilies.StableLm(),
        QwenFamilies.Qwen2(), QwenFamilies.WindowedQwen2(), QwenFamilies.Qwen2Moe(), QwenFamilies.WindowedQwen2Moe(),
        QwenFamilies.Qwen3(), QwenFamilies.YarnQwen3(), QwenFamilies.Qwen3Moe(), QwenFamilies.WindowedQwen3Moe(), QwenFamilies.Phi3(),
        QwenFamilies.LongPhi3(), QwenFamilies.SuPhi3(), QwenFamilies.Phi4Mini(),
        GemmaFamilies.Gemma(), GemmaFamilies.Gemma2(), GemmaFamilies.Gemma2ByDefault(), GemmaFamilies.Gemma3(),
        GemmaFamilies.Gemma3OfTransformers5(), GemmaFamilies.Gemma3OfPictures(), GemmaFamilies.Gemma3OfPicturesSince452(),
        GemmaFamilies.GptOss(),
        PartFamilies.Siglip(), PartFamilies.Llava(),
        FusedFamilies.Gpt2(), FusedFamilies.MistralGpt2(), FusedFamilies.GptJ(), FusedFamilies.GptNeoX(), FusedFamilies.SmallBloom(),
        FusedFamilies.Bloom(), FusedFamilies.Falcon7B(), FusedFamilies.Falcon40B(), FusedFamilies.FalconRw(), FusedFamilies.Mpt(),
    }.ToDictionary(family => family.Name);
}
