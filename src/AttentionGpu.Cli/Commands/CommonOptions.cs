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

    public static Option<bool> Json() => new("--json") { Description = "Print JSON instead of tables." };
}
