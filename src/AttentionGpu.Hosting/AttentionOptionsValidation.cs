using Microsoft.Extensions.Options;

namespace AttentionGpu.Hosting;

/// <summary>The annotations of a service's options, checked by generated code: trimmed and native programs can run it.</summary>
[OptionsValidator]
internal sealed partial class AttentionOptionsRanges : IValidateOptions<AttentionServiceOptions>;

/// <summary>
/// Refuses options beyond their ranges, devices that are not there or cannot be used, layers that are not complete, and positions that are
/// not stated in full; the message has the names.
/// </summary>
internal sealed class AttentionOptionsValidation : IValidateOptions<AttentionServiceOptions>
{
    private const string Auto = "auto";
    private static readonly AttentionOptionsRanges _ranges = new();

    /// <inheritdoc/>
    public ValidateOptionsResult Validate(string? name, AttentionServiceOptions options)
    {
        string[] failures =
        [
            .. _ranges.Validate(name, options).Failures ?? [],
            .. Devices(options, AttentionEngine.ListDevices()),
            .. options.Layers.SelectMany(layer => Layer(layer.Key, layer.Value)),
        ];
        return failures.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(failures);
    }

    /// <summary>Why the options' devices are refused, on a machine that has these.</summary>
    internal static IEnumerable<string> Devices(AttentionServiceOptions options, IReadOnlyList<DeviceInfo> devices)
    {
        string here = $"Devices here: {string.Join(", ", devices.Where(one => one.Problem is null).Select(one => one.Name))}.";

        // An empty name is an error of its own.
        if (!string.IsNullOrWhiteSpace(options.Device) && !Is(options.Device, Auto) && Problem(options.Device, devices) is { } problem)
            yield return $"Device must be a device of this machine, or {Auto}; {problem}. {here}";
        if (options.FallbackDevice is { } fallback && Problem(fallback, devices) is { } fallbackProblem)
            yield return $"FallbackDevice must be a device of this machine; {fallbackProblem}. {here}";
    }

    private static IEnumerable<string> Layer(string name, AttentionLayerOptions layer)
    {
        if (string.IsNullOrWhiteSpace(name))
            yield return "A layer must have a name; one has none (Layers).";
        if (string.IsNullOrWhiteSpace(layer.Path) && layer.Model is null)
            yield return $"Path or Model of the layer '{name}' must be given.";
        foreach (string failure in layer.Model is null ? File(name, layer) : Model(name, layer))
            yield return failure;
        if (layer.ElementType is not null && AttentionLayer.TypeOf(layer) is null)
            yield return AttentionLayer.TypeError(name, layer);
        foreach (string failure in layer.Cache?.Problems(name) ?? [])
            yield return failure;
    }

    // The configuration of the model tells everything else.
    private static IEnumerable<string> Model(string name, AttentionLayerOptions layer)
    {
        foreach ((string option, bool isGiven) in new[]
        {
            (nameof(layer.Path), !string.IsNullOrWhiteSpace(layer.Path)),
            (nameof(layer.Heads), layer.Heads is not null),
            (nameof(layer.KeyValueHeads), layer.KeyValueHeads is not null),
            (nameof(layer.Positions), layer.Positions != LayerPositions.Unstated),
            (nameof(layer.Rotary), layer.Rotary is not null),
            (nameof(layer.Window), layer.Window is not null),
            (nameof(layer.Softcap), layer.Softcap is not null),
            (nameof(layer.Scale), layer.Scale is not null),
            (nameof(layer.NormEpsilon), layer.NormEpsilon is not null),
        })
        {
            if (isGiven)
                yield return $"{option} of the layer '{name}' must be left out beside its Model, whose config.json tells all of the layer.";
        }

        bool hasPrefix = !string.IsNullOrEmpty(layer.Prefix);
        if (layer.Layer is null && !hasPrefix)
            yield return $"Layer or Prefix of the layer '{name}' must be given beside its Model.";
        if (layer.Layer is not null && hasPrefix)
            yield return $"Prefix of the layer '{name}' must be left out where its Layer is given.";
        if (layer.Stack is not null && hasPrefix)
            yield return $"Stack of the layer '{name}' must be left out where its Prefix is given.";
        if (layer.Layer < 0)
            yield return $"Layer of the layer '{name}' must be at least 0; it was {layer.Layer}.";
        if (layer.Stack is { } stack && !Enum.IsDefined(stack))
            yield return $"Stack of the layer '{name}' must be {string.Join(", ", Enum.GetNames<ModelStack>())}; it was {stack}.";
    }

    private static IEnumerable<string> File(string name, AttentionLayerOptions layer)
    {
        if (layer.Mapping is not null)
            yield return $"Mapping of the layer '{name}' needs its Model.";
        if (layer.Layer is not null)
            yield return $"Layer of the layer '{name}' needs its Model.";
        if (layer.Stack is not null)
            yield return $"Stack of the layer '{name}' needs its Model.";
        if (layer.Heads < 1)
            yield return $"Heads of the layer '{name}' must be at least 1; it was {layer.Heads}.";
        if (layer.KeyValueHeads < 1)
            yield return $"KeyValueHeads of the layer '{name}' must be at least 1; it was {layer.KeyValueHeads}.";
        if (layer.Rotary is { } rotary && rotary.ToEmbedding() is null)
            yield return AttentionRotaryOptions.Error(name);
        if (layer is { Positions: LayerPositions.None, Rotary: not null })
            yield return $"Rotary of the layer '{name}' must be left out where its Positions are None.";
        if (!Enum.IsDefined(layer.Positions))
            yield return $"Positions of the layer '{name}' must be Unstated or None; it was {layer.Positions}.";
        if (layer.Window < 0)
            yield return $"Window of the layer '{name}' must be at least 0; it was {layer.Window}.";
    }

    private static string? Problem(string device, IReadOnlyList<DeviceInfo> devices) =>
        devices.FirstOrDefault(one => Is(one.Name, device)) switch
        {
            null => $"it was '{device}'",
            { Problem: { } problem } one => $"'{one.Name}' ({one.Description}) cannot be used: {problem}",
            _ => null,
        };

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
