using System.ComponentModel.DataAnnotations;
using System.Reflection;

namespace AttentionGpu.Service.Guards;

/// <summary>Reads a section of the configuration once, before the service starts.</summary>
internal static class ServiceSettings
{
    /// <summary>The settings of a section; those that are not set keep their defaults.</summary>
    /// <exception cref="InvalidOperationException">
    /// A setting is not known, cannot be read, is out of range, is text where settings belong below it, or has settings below it where it
    /// is one value.
    /// </exception>
    public static T Read<T>(IConfiguration configuration, string section)
        where T : class, new()
    {
        IConfigurationSection settings = configuration.GetSection(section);
        RequireShape(settings, isValue: false);
        foreach (PropertyInfo property in typeof(T).GetProperties())
        {
            IConfigurationSection setting = settings.GetSection(property.Name);
            bool isValue = property.PropertyType == typeof(string) || property.PropertyType.IsValueType;
            RequireShape(setting, isValue);

            // Others are lists and dictionaries of texts.
            foreach (IConfigurationSection below in isValue ? [] : setting.GetChildren())
                RequireShape(below, isValue: true);
        }

        T read = settings.Get<T>(binder => binder.ErrorOnUnknownConfiguration = true) ?? new T();
        List<ValidationResult> problems = [];
        if (!Validator.TryValidateObject(read, new ValidationContext(read), problems, validateAllProperties: true))
            throw new InvalidOperationException($"Settings of '{section}': {string.Join(" ", problems.Select(one => one.ErrorMessage))}");
        return read;
    }

    // The binder skips what has the other shape without a word, or says it with the value, which may be a key.
    private static void RequireShape(IConfigurationSection section, bool isValue)
    {
        if (isValue && section.GetChildren().Any())
            throw new InvalidOperationException($"'{section.Path}' must be one value; it has settings below it.");
        if (!isValue && !string.IsNullOrEmpty(section.Value))
            throw new InvalidOperationException($"'{section.Path}' must have settings below it; it was a text.");
    }
}
