using System.Text.Json;
using AttentionGpu.Layers;

namespace AttentionGpu.Tests.Models;

/// <summary>Heads by the names of timm's <c>vision_transformer.py</c>.</summary>
public class TimmArchitectureTests
{
    [Theory]
    [InlineData("vit_tiny_patch16_224", 3)]
    [InlineData("deit_tiny_distilled_patch16_224", 3)]
    [InlineData("vit_small_patch14_reg4_dinov2", 6)]
    [InlineData("vit_medium_patch16_gap_240", 8)]
    [InlineData("vit_base_patch32_clip_224", 12)]
    [InlineData("vit_large_patch14_dinov2", 16)]
    [InlineData("vit_huge_patch14_224", 16)]
    [InlineData("vit_giant_patch14_224", 16)]
    [InlineData("vit_giant_patch14_dinov2", 24)]
    [InlineData("vit_giant_patch14_reg4_dinov2", 24)]
    [InlineData("vit_gigantic_patch14_224", 16)]
    [InlineData("vit_so400m_patch14_siglip_224", 16)]
    public void The_name_of_an_architecture_tells_its_heads(string name, int heads)
    {
        using var document = JsonDocument.Parse($$"""{"architecture":"{{name}}","pretrained_cfg":{} }""");
        var members = new ConfigurationMembers(document.RootElement, what => new InvalidDataException(what));
        Assert.Equal(heads, TimmArchitecture.Heads(members));
    }
}
