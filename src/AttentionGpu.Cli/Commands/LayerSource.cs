using AttentionGpu.Cli.Files;

namespace AttentionGpu.Cli.Commands;

/// <summary>The layer that a command runs: one of a model's folder, or one whose checkpoint is given.</summary>
internal sealed class LayerSource : IDisposable
{
    private readonly Func<(MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights)> _read;
    private readonly AttentionModel? _model;

    private LayerSource(
        IReadOnlyList<InputFile> files, Func<(MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights)> read,
        AttentionModel? model)
    {
        (Files, _read, _model) = (files, read, model);
    }

    /// <summary>The files that are read.</summary>
    public IReadOnlyList<InputFile> Files { get; }

    /// <summary>The element type of the layer; null for that of its file.</summary>
    public required Type? Type { get; init; }

    /// <summary>Which keys a query sees by its position.</summary>
    public required Causal Causal { get; init; }

    /// <summary>Whether keys and values come from elsewhere; null where that is not known.</summary>
    public bool? IsCross { get; init; }

    /// <summary>A layer under the names that <see cref="MultiHeadAttention.Load{T}"/> knows.</summary>
    /// <param name="weights">The file.</param>
    /// <param name="read">Reads the layer from it.</param>
    /// <param name="type">The element type; null for that of the file.</param>
    /// <param name="causal">Which keys a query sees by its position.</param>
    public static LayerSource OfCheckpoint(
        string weights, Func<(MultiHeadAttentionConfig Config, MultiHeadAttentionWeights Weights)> read, Type? type, Causal causal) =>
        new(InputFile.List(weights), read, model: null) { Type = type, Causal = causal };

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
                [.. model.Files.Select(file => new InputFile("--model", file))], () => model.ReadLayer(layer), model)
            {
                Type = type,
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

    /// <summary>Reads the parameters and makes the layer.</summary>
    public MultiHeadAttention Load(AttentionEngine engine)
    {
        (MultiHeadAttentionConfig config, MultiHeadAttentionWeights weights) = _read();
        return MultiHeadAttention.Create(engine, config, weights, Type ?? weights.StoredType);
    }

    public void Dispose() => _model?.Dispose();
}
