using AttentionGpu.Elements;
using AttentionGpu.Layers;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <summary>
/// A multi-head attention layer: projects its inputs to queries, keys and values, attends in every head, joins the heads and projects out.
/// PyTorch's <c>nn.MultiheadAttention</c>, with grouped-query heads (Ainslie and others, 2023), rotary embedding, normalised queries and
/// keys, sliding windows, soft capping, sinks, ALiBi and a bias by distance besides. Its parameters live on the engine's device. May be
/// called from many threads at once.
/// </summary>
/// <remarks>
/// Masks: a boolean <see cref="AttentionMask"/> is true where a key is visible (<c>nn.MultiheadAttention</c> means the opposite); a key
/// padding mask is true where a key is padding (as there). Inputs may leave out the batch, [length, size], whatever the order of axes: the
/// call is one batch entry, and its other tensors leave out the batch too ([heads, query length, key length] for weights). A query that
/// sees no key attends to nothing: its output is the output bias. This is what layers of all element types have in common; calls are
/// members of <see cref="MultiHeadAttention{T}"/>.
/// </remarks>
public abstract class MultiHeadAttention : IDisposable
{
    private int _disposed;

    private protected MultiHeadAttention(
        AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, ElementType element)
    {
        ArgumentNullException.ThrowIfNull(engine);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(weights);
        using var call = new CallMemory(engine.Lifetime);
        config.Validate();
        weights.Validate(config);
        Engine = engine;
        Config = config;
        Parameters = new LayerParameters(engine, config, weights, element);
        Rotary = config.Rotary is null ? null : new RotaryTables(engine, config.Rotary, config.ActualHeadSize);
    }

    /// <summary>The layer's sizes and variants.</summary>
    public MultiHeadAttentionConfig Config { get; }

    /// <summary>
    /// Keys that every query sees beside those of its input, 0 to 2: the extra key of the parameters, and that of
    /// <see cref="MultiHeadAttentionConfig.AddZeroAttention"/>. Attention weights have as many columns more.
    /// </summary>
    public int ExtraKeys => (Parameters.ExtraKey is null ? 0 : 1) + (Config.AddZeroAttention ? 1 : 0);

    /// <summary>The type of the elements of parameters, inputs and outputs.</summary>
    public abstract Type ElementType { get; }

    internal AttentionEngine Engine { get; }

    internal LayerParameters Parameters { get; }

    internal RotaryTables? Rotary { get; }

    /// <summary>
    /// Loads one layer of a checkpoint in the safetensors format (F32, F16, BF16). It finds PyTorch's names (<c>in_proj_weight</c>, or
    /// <c>q_proj_weight</c>, <c>k_proj_weight</c>, <c>v_proj_weight</c>; with <c>in_proj_bias</c>, <c>out_proj.weight</c>,
    /// <c>out_proj.bias</c>, <c>bias_k</c> and <c>bias_v</c>), and those of separate layers (<c>q_proj.weight</c> and so on, with
    /// <c>out_proj</c> or <c>o_proj</c>), with <c>q_norm.weight</c>, <c>k_norm.weight</c> and <c>sinks</c>. Sizes come from the shapes.
    /// </summary>
    /// <remarks>
    /// Separate layers are those of models with rotary embedding (Llama) and without (OPT). So the caller must state the positions; where
    /// the options do not, <c>config.json</c> in the folder of the file is read, for models whose type is known: sizes, <c>rope_theta</c>,
    /// <c>rope_scaling</c>, <c>partial_rotary_factor</c>, <c>rotary_dim</c>, <c>sliding_window</c>, <c>layer_types</c>,
    /// <c>attn_logit_softcapping</c>, <c>query_pre_attn_scalar</c>, <c>attention_multiplier</c>, <c>rms_norm_eps</c>. Whatever else it says
    /// of attention is refused by name. A tensor below the prefix that is not read is an error, too, but for buffers without influence:
    /// <c>rotary_emb.inv_freq</c>, <c>rotary_emb.original_inv_freq</c>, <c>rotary_emb.cos_cached</c>, <c>rotary_emb.sin_cached</c>, and the
    /// causal mask <c>bias</c> with <c>masked_bias</c>. Heads that are given must be those of <c>config.json</c>, whatever else is stated;
    /// without any they are taken from there. <see cref="AttentionModel"/> reads models whose layers have other names.
    /// </remarks>
    /// <typeparam name="T">The element type of the layer: <see cref="float"/>, <see cref="Half"/> or <see cref="BFloat16"/>.</typeparam>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="path">The file.</param>
    /// <param name="heads">Query heads; null for those that <c>config.json</c> in the folder of the file names.</param>
    /// <param name="keyValueHeads">Key/value heads; null to tell them from the shapes (joined weights: as many as query heads).</param>
    /// <param name="prefix">What stands before the names, such as <c>model.layers.0.self_attn</c>; with or without the final dot.</param>
    /// <param name="batchFirst">Whether tensors are [batch, length, size] rather than [length, batch, size].</param>
    /// <param name="options">What the file does not tell: positions, window and the like; null for what <c>config.json</c> says.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is malformed or no safetensors file, lacks a tensor, has one that the layer would ignore, or its shapes fit no layer with
    /// these heads; or <c>config.json</c> is malformed, contradicts them, or asks for more than this layer does.
    /// </exception>
    /// <exception cref="ArgumentException">
    /// The positions of separate layers or the heads are not stated, or an option contradicts the file or another option.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">A number of heads is less than 1.</exception>
    /// <exception cref="NotSupportedException">The element type is another.</exception>
    /// <exception cref="ObjectDisposedException">The engine is disposed.</exception>
    public static MultiHeadAttention<T> Load<T>(
        AttentionEngine engine, string path, int? heads = null, int? keyValueHeads = null, string? prefix = null, bool batchFirst = true,
        MultiHeadAttentionLoadOptions? options = null)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(engine);
        using var call = new CallMemory(engine.Lifetime);
        ElementTypes.Of<T>();
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) =
            MultiHeadAttentionWeights.Load(path, heads, keyValueHeads, prefix, batchFirst, options);
        return new MultiHeadAttention<T>(engine, config, weights);
    }

    /// <summary>As <see cref="Load{T}"/>, in the element type of the file; float where its matrices have several, or doubles.</summary>
    /// <inheritdoc cref="Load{T}" path="/param"/>
    /// <inheritdoc cref="Load{T}" path="/exception"/>
    public static MultiHeadAttention Load(
        AttentionEngine engine, string path, int? heads = null, int? keyValueHeads = null, string? prefix = null, bool batchFirst = true,
        MultiHeadAttentionLoadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(engine);
        using var call = new CallMemory(engine.Lifetime);
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) =
            MultiHeadAttentionWeights.Load(path, heads, keyValueHeads, prefix, batchFirst, options);
        return Create(engine, config, weights, weights.StoredType);
    }

    /// <summary>Makes a layer of an element type that is known at run time.</summary>
    /// <param name="engine">Runs the layer; it must outlive it.</param>
    /// <param name="config">Sizes and variants.</param>
    /// <param name="weights">The parameters.</param>
    /// <param name="type">Half or BFloat16; float for every other.</param>
    internal static MultiHeadAttention Create(
        AttentionEngine engine, MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, Type type) =>
        type == typeof(Half) ? new MultiHeadAttention<Half>(engine, config, weights)
        : type == typeof(BFloat16) ? new MultiHeadAttention<BFloat16>(engine, config, weights)
        : new MultiHeadAttention<float>(engine, config, weights);

    /// <summary>Gives the parameters' memory back to the engine, once the calls in progress have ended.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Parameters.Dispose();
            Rotary?.Dispose();
        }

        GC.SuppressFinalize(this);
    }

    private protected void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_disposed != 0, this);
}
