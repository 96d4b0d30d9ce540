using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting;

/// <summary>Refuses an element type that there is not, and positions that are not stated in full.</summary>
internal sealed class AttentionLayerValidation : IValidateOptions<AttentionServiceOptions>
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, AttentionServiceOptions options)
    {
        string[] failures =
        [
            .. options.Layers.Where(layer => AttentionLayer.TypeOf(layer.Value) is null)
                .Select(layer => AttentionLayer.TypeError(layer.Key, layer.Value)),
            .. options.Layers.Where(layer => layer.Value.Rotary is { } rotary && rotary.ToEmbedding() is null)
                .Select(layer => AttentionRotaryOptions.Error(layer.Key)),
            .. options.Layers.Where(layer => layer.Value is { Positions: LayerPositions.None, Rotary: not null })
                .Select(layer => $"Rotary of the layer '{layer.Key}' must be left out where its Positions are None."),
            .. options.Layers.Where(layer => !Enum.IsDefined(layer.Value.Positions))
                .Select(layer => $"Positions of the layer '{layer.Key}' must be Unstated or None; it was {layer.Value.Positions}."),
            .. options.Layers.Where(layer => layer.Value.Window < 0)
                .Select(layer => $"Window of the layer '{layer.Key}' must be at least 0; it was {layer.Value.Window}."),
        ];
        return failures.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }
}
