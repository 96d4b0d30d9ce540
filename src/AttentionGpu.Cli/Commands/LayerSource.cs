using AttentionGpu.Cli.Files;

namespace AttentionGpu.Cli.Commands;

/// <summary>The layer that a command runs: one of a model's folder, or one whose checkpoint is given.</summary>
internal sealed class LayerSource : IDisposable
{
    private readonly Func<AttentionEngine, MultiHeadAttention> _load;
    private readonly AttentionModel? _model;

    private LayerSource(IReadOnlyList<InputFile> files, Func<AttentionEngine, MultiHeadAttention> load, AttentionModel? model)
    {
        (Files, _load, _model) = (files, load, model);
    }

    /// <summary>The files that are read.</summary>
    public IReadOnlyList<InputFile> Files { get; }

    /// <summary>Which keys a query sees by its position.</summary>
    public required Causal Causal { get; init; }

    /// <summary>Whether keys and values come from elsewhere; null where that is not known.</summary>
    public bool? IsCross { get; init; }

    /// <summary>A layer under the names that <see cref="MultiHeadAttention.Load{T}"/> knows.</summary>
    /// <param name="weights">The file.</param>
    /// <param name="layer">What the file does not tell.</param>
    /// <param name="type">The element type; null for that of the file.</param>
    /// <param name="causal">Which keys a query sees by its position.</param>
    public static LayerSource OfCheckpoint(string weights, CheckpointLayer layer, Type? type, Causal causal) =>
        new(InputFile.List(weights), engine => layer.Load(engine, weights, type), model: null) { Causal = causal };

    /// <summary>A layer of a model, which is opened.</summary>
    /// <param name="path">The model's folder, file or index.</param>
    /// <param name="mapping">The description of its layers; null for its configuration.</param>
    /// <param name="find">Chooses the layer.</param>
    /// <param name="type">The element type; null for that of the file.</param>
    /// <exception cref="ArgumentException">The model has no such layer.</exception>
    /// <exception cref="InvalidDataException">The model cannot be read.</exception>
    public static LayerSource OfModel(string path, string? mapping, Func<AttentionModel, AttentionModelLayer> find, Type? type)
    {
        var model = AttentionModel.Open(path, mapping);
        try
        {
            AttentionModelLayer layer = find(model);
            return new LayerSource(
                [.. model.Files.Select(file => new InputFile("--model", file))], engine => Load(model, engine, layer, type), model)
            {
                Causal = layer.IsCausal ? Causal.TopLeft : Causal.None,
                IsCross = layer.IsCross,
            };
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads the parameters.</summary>
    public MultiHeadAttention Load(AttentionEngine engine) => _load(engine);

    public void Dispose() => _model?.Dispose();

    private static MultiHeadAttention Load(AttentionModel model, AttentionEngine engine, AttentionModelLayer layer, Type? type) =>
        type is null ? model.LoadLayer(engine, layer)
        : type == typeof(Half) ? model.LoadLayer<Half>(engine, layer)
        : type == typeof(BFloat16) ? model.LoadLayer<BFloat16>(engine, layer)
        : model.LoadLayer<float>(engine, layer);
}

/// <summary>What the caller says of a layer of a checkpoint.</summary>
internal sealed record CheckpointLayer(string? Prefix, int? Heads, int? KeyValueHeads, MultiHeadAttentionLoadOptions Options)
{
    /// <summary>Reads it from a file, in an element type or in that of the file (null).</summary>
    public MultiHeadAttention Load(AttentionEngine engine, string path, Type? type) =>
        type is null ? MultiHeadAttention.Load(engine, path, Heads, KeyValueHeads, Prefix, options: Options)
        : type == typeof(Half) ? MultiHeadAttention.Load<Half>(engine, path, Heads, KeyValueHeads, Prefix, options: Options)
        : type == typeof(BFloat16) ? MultiHeadAttention.Load<BFloat16>(engine, path, Heads, KeyValueHeads, Prefix, options: Options)
        : MultiHeadAttention.Load<float>(engine, path, Heads, KeyValueHeads, Prefix, options: Options);
}
