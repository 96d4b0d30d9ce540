using System.ComponentModel.DataAnnotations;

namespace AttentionGpu.Service;

/// <summary>What a request may ask for.</summary>
internal sealed class ServiceLimits
{
    /// <summary>Bytes of a request's body.</summary>
    [Range(1, long.MaxValue)]
    public long MaxBodyBytes { get; set; } = 16 << 20;

    /// <summary>Tokens of a sequence.</summary>
    [Range(1, int.MaxValue)]
    public int MaxTokens { get; set; } = 4096;

    /// <summary>Tokens of a sequence whose weights are asked for: they are heads times tokens squared.</summary>
    [Range(1, int.MaxValue)]
    public int MaxWeightTokens { get; set; } = 256;
}
