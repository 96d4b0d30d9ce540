using System.CommandLine;

namespace AttentionGpu.Cli.Commands;

/// <summary>Options that several commands share.</summary>
internal static class CommonOptions
{
    public static Option<string> Device() => new("--device")
    {
        Description = "The device: a name from 'attention devices', or auto.",
        HelpName = "NAME",
        DefaultValueFactory = _ => "auto",
    };

    /// <summary>An option that names a file or a folder. An empty name is refused.</summary>
    public static Option<T> Path<T>(string name, string helpName, string description)
        where T : class?
    {
        var option = new Option<T>(name) { Description = description, HelpName = helpName };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Any(token => token.Value.Length == 0))
                result.AddError($"{name} is empty; it must be a path.");
        });
        return option;
    }

    public static Option<string?> Mapping() => Path<string?>(
        "--mapping", "FILE", "A JSON file that describes the layers of a model whose type is not known, in place of its config.json.");

    public static Option<bool> Json() => new("--json") { Description = "Print JSON instead of tables." };
}
