using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting;

/// <summary>Refuses an element type that there is not.</summary>
internal sealed class AttentionLayerValidation : IValidateOptions<AttentionServiceOptions>
{
    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, AttentionServiceOptions options)
    {
        string[] failures =
        [
            .. options.Layers.Where(layer => AttentionLayer.TypeOf(layer.Value) is null)
                .Select(layer => AttentionLayer.TypeError(layer.Key, layer.Value)),
        ];
        return failures.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }
}
