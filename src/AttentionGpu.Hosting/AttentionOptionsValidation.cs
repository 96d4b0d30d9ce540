using System.ComponentModel.DataAnnotations;
using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting;

/// <summary>Refuses devices that are not there, and layers that are not complete; the message has the names.</summary>
internal sealed class AttentionOptionsValidation : IValidateOptions<AttentionServiceOptions>
{
    private const string Auto = "auto";

    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, AttentionServiceOptions options)
    {
        string[] failures = [.. Devices(options), .. options.Layers.SelectMany(layer => Layer(layer.Key, layer.Value))];
        return failures.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }

    private static IEnumerable<string> Devices(AttentionServiceOptions options)
    {
        // An empty name is an error of its own.
        if (!string.IsNullOrWhiteSpace(options.Device) && !Is(options.Device, Auto) && !IsThere(options.Device))
            yield return $"Device must be a device of this machine, or {Auto}; it was '{options.Device}'. Devices here: {List()}.";
        if (options.FallbackDevice is { } fallback && !IsThere(fallback))
            yield return $"FallbackDevice must be a device of this machine; it was '{fallback}'. Devices here: {List()}.";
    }

    // Annotations of what is in a dictionary are not looked at by the framework.
    private static IEnumerable<string> Layer(string name, AttentionLayerOptions layer)
    {
        if (string.IsNullOrWhiteSpace(name))
            yield return "A layer must have a name; one has none (Layers).";
        List<ValidationResult> results = [];
        Validator.TryValidateObject(layer, new ValidationContext(layer), results, validateAllProperties: true);

        // Whatever is wrong with it, the element type has one message.
        foreach (ValidationResult result in results.Where(result => !result.MemberNames.Contains(nameof(layer.ElementType))))
            yield return $"The layer '{name}': {result.ErrorMessage}";
        if (AttentionLayer.TypeOf(layer) is null)
            yield return AttentionLayer.TypeError(name, layer);
    }

    private static bool IsThere(string device) => AttentionEngine.ListDevices().Any(one => Is(one.Name, device));

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);

    private static string List() => string.Join(", ", AttentionEngine.ListDevices().Select(device => device.Name));
}
