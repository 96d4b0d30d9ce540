using AttentionGpu.Cli.Files;

namespace AttentionGpu.Cli.Commands;

/// <summary>The layer that a command runs: one of a model's folder, or one whose checkpoint and heads are given.</summary>
internal sealed class LayerSource : IDisposable
{
    private readonly Func<AttentionEngine, MultiHeadAttention<float>> _load;
    private readonly AttentionModel? _model;

    private LayerSource(IReadOnlyList<InputFile> files, Func<AttentionEngine, MultiHeadAttention<float>> load, AttentionModel? model)
    {
        (Files, _load, _model) = (files, load, model);
    }

    /// <summary>The files that are read.</summary>
    public IReadOnlyList<InputFile> Files { get; }

    /// <summary>Which keys a query sees by its position.</summary>
    public required Causal Causal { get; init; }

    /// <summary>Whether keys and values come from elsewhere; null where that is not known.</summary>
    public bool? IsCross { get; init; }

    /// <summary>A layer under the names that <see cref="MultiHeadAttention.Load"/> knows.</summary>
    public static LayerSource OfCheckpoint(
        string weights, string? prefix, int heads, int? keyValueHeads, MultiHeadAttentionLoadOptions options, Causal causal) =>
        new(
            InputFile.List(weights),
            engine => MultiHeadAttention.Load<float>(engine, weights, heads, keyValueHeads, prefix, options: options),
            model: null)
        {
            Causal = causal,
        };

    /// <summary>A layer of a model, which is opened.</summary>
    /// <exception cref="ArgumentException">The model has no such layer.</exception>
    /// <exception cref="InvalidDataException">The model cannot be read.</exception>
    public static LayerSource OfModel(string path, int index, ModelStack? stack, bool isCross)
    {
        var model = AttentionModel.Open(path);
        try
        {
            AttentionModelLayer layer = model.FindLayer(index, stack, isCross);
            return new LayerSource(
                [.. model.Files.Select(file => new InputFile("--model", file))], engine => model.LoadLayer<float>(engine, layer), model)
            {
                Causal = layer.IsCausal ? Causal.TopLeft : Causal.None,
                IsCross = isCross,
            };
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Reads the parameters.</summary>
    public MultiHeadAttention<float> Load(AttentionEngine engine) => _load(engine);

    public void Dispose() => _model?.Dispose();
}
