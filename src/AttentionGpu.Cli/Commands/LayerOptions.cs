using System.CommandLine;

namespace AttentionGpu.Cli.Commands;

/// <summary>
/// The options that choose a layer: <c>--model</c> with its number, or <c>--weights</c> with all that the checkpoint does not tell.
/// </summary>
internal sealed class LayerOptions
{
    private readonly Option<string?> _model = CommonOptions.Path<string?>(
        "--model", "FOLDER", "A model: its folder with config.json and model.safetensors, or the index of its files.");

    private readonly Option<int?> _layer = new("--layer") { Description = "The number of the model's layer.", HelpName = "N" };

    private readonly Option<string?> _stack = new("--stack")
    {
        Description = "The part of the model, if several have the layer: encoder, decoder, text or vision.",
        HelpName = "PART",
    };

    private readonly Option<bool> _cross = new("--cross")
    {
        Description = "The model's layer is the one whose keys and values come from --context.",
    };

    private readonly Option<string?> _weights =
        CommonOptions.Path<string?>("--weights", "W.safetensors", "The checkpoint, if not --model.");

    private readonly Option<string?> _prefix =
        new("--prefix") { Description = "What stands before the layer's tensor names.", HelpName = "P" };

    private readonly Option<int?> _heads = new("--heads") { Description = "Query heads.", HelpName = "H" };

    private readonly Option<int?> _keyValueHeads =
        new("--kv-heads") { Description = "Key/value heads; told from the shapes if left out.", HelpName = "K" };

    private readonly Option<bool> _causal = new("--causal") { Description = "Position i sees positions 0 to i; a model tells it itself." };

    private readonly PositionOptions _positions = new();

    public LayerOptions() => _stack.AcceptOnlyFromAmong([.. Enum.GetNames<ModelStack>().Select(name => name.ToLowerInvariant())]);

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_model, _layer, _stack, _cross, _weights, _prefix, _heads, _keyValueHeads, _causal])
            command.Options.Add(option);
        _positions.AddTo(command);
    }

    /// <summary>The layer that the options choose.</summary>
    /// <exception cref="ArgumentException">They contradict each other, one is missing, or the model has no such layer.</exception>
    /// <exception cref="InvalidDataException">The model cannot be read.</exception>
    public LayerSource Open(ParseResult parsed)
    {
        string? model = parsed.GetValue(_model);
        string? weights = parsed.GetValue(_weights);
        if (model is not null)
        {
            string? other =
                PositionOptions.FirstGiven(parsed, _weights, _prefix, _heads, _keyValueHeads, _causal) ?? _positions.FirstGiven(parsed);
            if (other is not null)
                throw new ArgumentException($"{other} must be left out beside --model, whose config.json tells all of the layer.");
            return LayerSource.OfModel(
                model,
                parsed.GetValue(_layer) ?? throw new ArgumentException("--layer must be given beside --model."),
                parsed.GetValue(_stack) is string stack ? Enum.Parse<ModelStack>(stack, ignoreCase: true) : null,
                parsed.GetValue(_cross));
        }

        if (weights is null)
            throw new ArgumentException("--model, or --weights with --heads, must be given.");
        if (PositionOptions.FirstGiven(parsed, _layer, _stack, _cross) is string needless)
            throw new ArgumentException($"{needless} needs --model in place of --weights.");
        return LayerSource.OfCheckpoint(
            weights,
            parsed.GetValue(_prefix),
            parsed.GetValue(_heads) ?? throw new ArgumentException("--heads must be given beside --weights."),
            parsed.GetValue(_keyValueHeads),
            _positions.Read(parsed),
            parsed.GetValue(_causal) ? Causal.TopLeft : Causal.None);
    }
}
