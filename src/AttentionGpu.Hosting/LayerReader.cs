namespace AttentionGpu.Hosting;

/// <summary>A layer as options name it, in host memory.</summary>
/// <param name="Config">The layer's sizes and variants.</param>
/// <param name="Weights">The parameters.</param>
/// <param name="Type">The element type that it is made in.</param>
/// <param name="Causal">Which keys a query sees in a request that does not say it.</param>
internal sealed record ReadLayer(MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights, Type Type, Causal Causal);

/// <summary>Reads the layers of options. A model with several of them is opened once.</summary>
internal sealed class LayerReader : IDisposable
{
    private readonly Dictionary<(string Path, string? Mapping), AttentionModel> _models = [];

    /// <summary>Reads the layer's bytes, and the headers of its model's files.</summary>
    /// <param name="name">The layer's name, for messages.</param>
    /// <param name="options">What configures it.</param>
    /// <exception cref="ArgumentException">The model has no such layer, or the options contradict each other.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or has no layer that a service can compute.</exception>
    public ReadLayer Read(string name, AttentionLayerOptions options)
    {
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights, Causal causal) =
            options.Model is string path ? OfModel(path, options) : OfFile(name, options);
        return new ReadLayer(config, weights, AttentionLayer.TypeOf(options) ?? weights.StoredType, causal);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (AttentionModel model in _models.Values)
            model.Dispose();
    }

    private (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights, Causal Causal) OfModel(
        string path, AttentionLayerOptions options)
    {
        if (!_models.TryGetValue((path, options.Mapping), out AttentionModel? model))
            _models[(path, options.Mapping)] = model = AttentionModel.Open(path, options.Mapping);
        AttentionModelLayer layer =
            options.Layer is int index ? model.FindLayer(index, options.Stack) : model.FindLayer(options.Prefix ?? "");
        if (layer.IsCross)
            throw new InvalidDataException($"'{layer.Prefix}' is cross-attention; a service attends within a sequence.");
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = model.ReadLayer(layer);
        return (config, weights, layer.IsCausal ? Causal.TopLeft : Causal.None);
    }

    private static (MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights, Causal Causal) OfFile(
        string name, AttentionLayerOptions options)
    {
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = MultiHeadAttentionWeights.Load(
            options.Path, options.Heads, options.KeyValueHeads, options.Prefix, options: LoadOptions(name, options));
        return (config, weights, Causal.None);
    }

    private static MultiHeadAttentionLoadOptions LoadOptions(string name, AttentionLayerOptions options) => new()
    {
        Positions = options.Positions,
        Rotary = options.Rotary is { } rotary
            ? rotary.ToEmbedding() ?? throw new ArgumentException(AttentionRotaryOptions.Error(name), nameof(options))
            : null,
        Window = options.Window is int left ? new AttentionWindow { Left = left } : null,
        Softcap = options.Softcap,
        Scale = options.Scale,
        NormEpsilon = options.NormEpsilon,
    };
}
