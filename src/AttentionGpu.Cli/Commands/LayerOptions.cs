using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Files;

namespace AttentionGpu.Cli.Commands;

/// <summary>
/// The options that choose a layer: <c>--model</c> with its number, or <c>--weights</c> with all that the checkpoint does not tell.
/// </summary>
internal sealed class LayerOptions
{
    private readonly Option<string?> _model = CommonOptions.Path<string?>(
        "--model", "FOLDER", "A model: its folder with config.json and model.safetensors, or the index of its files.");

    private readonly Option<string?> _mapping = CommonOptions.Mapping();

    private readonly Option<string?> _layer = new("--layer")
    {
        Description = "The model's layer: its number, or its prefix, as 'attention inspect' lists them.",
        HelpName = "N|PREFIX",
    };

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

    private readonly Option<int?> _heads = new("--heads")
    {
        Description = "Query heads; told by the config.json beside the checkpoint if left out.",
        HelpName = "H",
    };

    private readonly Option<int?> _keyValueHeads =
        new("--kv-heads") { Description = "Key/value heads; told from the shapes if left out.", HelpName = "K" };

    private readonly Option<bool> _causal = new("--causal") { Description = "Position i sees positions 0 to i; a model tells it itself." };

    private readonly Option<string?> _type = new("--type")
    {
        Description = "The layer's element type, to which parameters and inputs are rounded: that of the checkpoint if left out.",
        HelpName = string.Join('|', ElementConversion.Names),
    };

    private readonly PositionOptions _positions = new();

    public LayerOptions()
    {
        _stack.AcceptOnlyFromAmong(
            StringComparer.OrdinalIgnoreCase, [.. Enum.GetNames<ModelStack>().Select(name => name.ToLowerInvariant())]);
        _type.AcceptOnlyFromAmong(ElementConversion.Names);
    }

    public void AddTo(Command command)
    {
        Option[] options = [_model, _mapping, _layer, _stack, _cross, _weights, _prefix, _heads, _keyValueHeads, _causal, _type];
        foreach (Option option in options)
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
        Type? type = parsed.GetValue(_type) is string name ? ElementConversion.TypeOf(name) : null;
        if (model is not null)
        {
            string? other =
                PositionOptions.FirstGiven(parsed, _weights, _prefix, _heads, _keyValueHeads, _causal) ?? _positions.FirstGiven(parsed);
            if (other is not null)
                throw new ArgumentException($"{other} must be left out beside --model, whose config.json tells all of the layer.");
            return parsed.GetValue(_layer) is { Length: > 0 } layer
                ? LayerSource.OfModel(model, parsed.GetValue(_mapping), Finder(parsed, layer), type)
                : throw new ArgumentException("--layer must be given beside --model.");
        }

        if (weights is null)
            throw new ArgumentException("--model or --weights must be given.");
        if (PositionOptions.FirstGiven(parsed, _mapping, _layer, _stack, _cross) is string needless)
            throw new ArgumentException($"{needless} needs --model in place of --weights.");
        MultiHeadAttentionLoadOptions options = _positions.Read(parsed);
        return LayerSource.OfCheckpoint(
            weights,
            () => MultiHeadAttentionWeights.Load(
                weights, parsed.GetValue(_heads), parsed.GetValue(_keyValueHeads), parsed.GetValue(_prefix), options: options),
            type,
            parsed.GetValue(_causal) ? Causal.TopLeft : Causal.None);
    }

    private Func<AttentionModel, AttentionModelLayer> Finder(ParseResult parsed, string layer)
    {
        if (!int.TryParse(layer, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int index))
        {
            return PositionOptions.FirstGiven(parsed, _stack, _cross) is string needless
                ? throw new ArgumentException($"{needless} must be left out where --layer is a prefix, '{layer}'.")
                : model => model.FindLayer(layer);
        }

        ModelStack? stack = parsed.GetValue(_stack) is string part ? Enum.Parse<ModelStack>(part, ignoreCase: true) : null;
        bool isCross = parsed.GetValue(_cross);
        return model => model.FindLayer(index, stack, isCross);
    }
}
