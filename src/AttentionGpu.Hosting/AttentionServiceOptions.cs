using System.ComponentModel.DataAnnotations;
using System.Diagnostics.CodeAnalysis;

namespace AttentionGpu.Hosting;

/// <summary>What becomes of waiting requests when a service is disposed.</summary>
public enum AttentionShutdown
{
    /// <summary>They are computed first.</summary>
    Finish,

    /// <summary>They end with an <see cref="ObjectDisposedException"/>. The batch that runs is finished.</summary>
    Refuse,
}

/// <summary>
/// A layer: one of a model, as <see cref="AttentionModel"/> reads it (<see cref="Model"/>, with <see cref="Layer"/> and
/// <see cref="Stack"/> or with <see cref="Prefix"/>; besides, <see cref="Mapping"/> and <see cref="ElementType"/> alone), or one of a file,
/// as <see cref="MultiHeadAttention.Load{T}"/> reads it (<see cref="Path"/>).
/// </summary>
public sealed class AttentionLayerOptions
{
    /// <summary>The model's folder with <c>config.json</c>, or the index of its files; null or blank for a layer of a file.</summary>
    public string? Model { get; set => field = string.IsNullOrWhiteSpace(value) ? null : value; }

    /// <summary>
    /// A file that describes the layers of a <see cref="Model"/> whose type is not known, as <see cref="AttentionModel.Open"/> takes it.
    /// </summary>
    public string? Mapping { get; set; }

    /// <summary>The number of the model's layer, which must be self-attention.</summary>
    public int? Layer { get; set; }

    /// <summary>The part of the model; null where only one has the layer.</summary>
    public ModelStack? Stack { get; set; }

    /// <summary>The safetensors file, without a <see cref="Model"/>.</summary>
    public string Path { get; set; } = "";

    /// <summary>Query heads; null for those that <c>config.json</c> in the folder of the file names.</summary>
    public int? Heads { get; set; }

    /// <summary>Key/value heads; null to tell them from the shapes.</summary>
    public int? KeyValueHeads { get; set; }

    /// <summary>What stands before the parameters' names: of a file, or in place of <see cref="Layer"/>.</summary>
    public string? Prefix { get; set; }

    /// <summary>
    /// The positions in a layer that has <c>q_proj.weight</c>: <see cref="LayerPositions.None"/>, or a <see cref="Rotary"/> embedding;
    /// without either, <c>config.json</c> in the folder of the file must tell them. See <see cref="MultiHeadAttentionLoadOptions"/>.
    /// </summary>
    public LayerPositions Positions { get; set; }

    /// <summary>Rotary embedding of queries and keys; null for none, or for what <c>config.json</c> says.</summary>
    public AttentionRotaryOptions? Rotary { get; set; }

    /// <summary>Keys before its own that a query sees; null for all.</summary>
    public int? Window { get; set; }

    /// <summary>See <see cref="MultiHeadAttentionConfig.Softcap"/>.</summary>
    public float? Softcap { get; set; }

    /// <summary>See <see cref="MultiHeadAttentionConfig.Scale"/>.</summary>
    public float? Scale { get; set; }

    /// <summary>See <see cref="MultiHeadAttentionLoadOptions.NormEpsilon"/>.</summary>
    public float? NormEpsilon { get; set; }

    /// <summary>
    /// The layer's element type, <c>float32</c>, <c>float16</c> or <c>bfloat16</c>, to which parameters are rounded; null for that of the
    /// file, float32 where it has several. Requests are in it.
    /// </summary>
    public string? ElementType { get; set; }

    /// <summary>
    /// The memory of the layer's sessions; null for a layer without any. A layer of a model must be causal.
    /// </summary>
    public AttentionCacheOptions? Cache { get; set; }
}

/// <summary>How a service runs its engine. Bound to configuration and validated when the host starts.</summary>
[UnconditionalSuppressMessage(
    "Trimming", "IL2026", Justification = "Generated code (AttentionOptionsRanges) checks ranges of TimeSpan without a TypeConverter.")]
public sealed class AttentionServiceOptions
{
    /// <summary>The device's name in any case, or <c>auto</c>; see <see cref="AttentionEngine(string, AttentionEngineOptions)"/>.</summary>
    [Required]
    public string Device { get; set; } = "auto";

    /// <summary>
    /// The device that takes over when <see cref="Device"/> is broken; null for none: requests then fail. With it, the parameters of layers
    /// are kept in host memory (float32), so that they can move.
    /// </summary>
    public string? FallbackDevice { get; set; }

    /// <summary>How long after a move to the fallback, and after each try to go back, a health check tries to go back.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan FallbackRetryDelay { get; set; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a health check waits for the device, behind the batch that runs, before it says unhealthy.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "1.00:00:00")]
    public TimeSpan HealthTimeout { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long no request waits or runs before memory that no layer uses goes back to the system or the device. Health checks do not
    /// count.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "1.00:00:00")]
    public TimeSpan IdleMemoryDelay { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>See <see cref="AttentionEngineOptions.Threads"/>.</summary>
    [Range(1, int.MaxValue)]
    public int? Threads { get; set; }

    /// <summary>See <see cref="AttentionEngineOptions.MemoryLimitBytes"/>.</summary>
    [Range(1, long.MaxValue)]
    public long? MemoryLimitBytes { get; set; }

    /// <summary>
    /// Whether a request has the same bits alone and joined to others; see <see cref="AttentionEngineOptions.BatchInvariant"/>. A request
    /// for weights is always alone, and its output may differ in its last bits from that of one without.
    /// </summary>
    public bool BatchInvariant { get; set; }

    /// <summary>Requests that may wait; one more is refused with an <see cref="AttentionOverloadedException"/>.</summary>
    [Range(1, 1 << 20)]
    public int QueueLimit { get; set; } = 256;

    /// <summary>Tokens of the requests that may wait. A request that alone has more is refused for good.</summary>
    [Range(1, long.MaxValue)]
    public long QueueLimitTokens { get; set; } = 1 << 20;

    /// <summary>
    /// Bytes of inputs, outputs and weights of the requests that may wait: the callers' memory that they hold. A request that alone has
    /// more is refused for good.
    /// </summary>
    [Range(1, long.MaxValue)]
    public long QueueLimitBytes { get; set; } = 1 << 30;

    /// <summary>Requests that are joined at most.</summary>
    [Range(1, 1 << 16)]
    public int MaxBatchRequests { get; set; } = 64;

    /// <summary>
    /// Tokens that are joined at most; a longer request runs by itself. Where several clients wait, fewer may be joined: no more than the
    /// share of the request whose turn it is.
    /// </summary>
    [Range(1, 1 << 24)]
    public int MaxBatchTokens { get; set; } = 4096;

    /// <summary>
    /// How long a request waits for others to join it. By default it waits for none, and what has come in while a batch ran becomes the
    /// next.
    /// </summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:00:10")]
    public TimeSpan BatchDelay { get; set; } = TimeSpan.Zero;

    /// <summary>Whether each layer runs once before the host has started, so that kernels are compiled.</summary>
    public bool WarmUp { get; set; } = true;

    /// <summary>What becomes of waiting requests when the service is disposed.</summary>
    [EnumDataType(typeof(AttentionShutdown))]
    public AttentionShutdown Shutdown { get; set; } = AttentionShutdown.Finish;

    /// <summary>The layers by name, in any case.</summary>
    public IDictionary<string, AttentionLayerOptions> Layers { get; } =
        new Dictionary<string, AttentionLayerOptions>(StringComparer.OrdinalIgnoreCase);
}
