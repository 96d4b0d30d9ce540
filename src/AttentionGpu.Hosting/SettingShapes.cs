using Microsoft.Extensions.Configuration;

namespace AttentionGpu.Hosting;

/// <summary>
/// Refuses text where settings belong below a name, and settings below a name that takes one value: the configuration binder skips both
/// without a word.
/// </summary>
internal static class SettingShapes
{
    /// <summary>Checks the settings of <see cref="AttentionServiceOptions"/>, whose names the binder has checked.</summary>
    /// <exception cref="InvalidOperationException">A setting has the other shape; the message has its path.</exception>
    public static void Require(IConfiguration configuration)
    {
        if (configuration is IConfigurationSection root)
            RequireSettings(root);
        foreach (IConfigurationSection setting in configuration.GetChildren())
        {
            if (Is(setting, nameof(AttentionServiceOptions.Layers)))
                RequireLayers(setting);
            else
                RequireValue(setting);
        }
    }

    private static void RequireLayers(IConfigurationSection layers)
    {
        RequireSettings(layers);
        foreach (IConfigurationSection layer in layers.GetChildren())
        {
            RequireSettings(layer);
            foreach (IConfigurationSection setting in layer.GetChildren())
            {
                if (!Is(setting, nameof(AttentionLayerOptions.Rotary)) && !Is(setting, nameof(AttentionLayerOptions.Cache)))
                {
                    RequireValue(setting);
                    continue;
                }

                RequireSettings(setting);
                foreach (IConfigurationSection number in setting.GetChildren())
                    RequireValue(number);
            }
        }
    }

    private static void RequireSettings(IConfigurationSection section)
    {
        // An empty object or array of JSON is an empty text.
        if (!string.IsNullOrEmpty(section.Value))
            throw new InvalidOperationException($"'{section.Path}' must have settings below it; it was the text '{section.Value}'.");
    }

    private static void RequireValue(IConfigurationSection section)
    {
        if (section.GetChildren().FirstOrDefault() is { } below)
            throw new InvalidOperationException($"'{section.Path}' must be one value; it has '{below.Path}' below it.");
    }

    private static bool Is(IConfigurationSection section, string name) => section.Key.Equals(name, StringComparison.OrdinalIgnoreCase);
}
