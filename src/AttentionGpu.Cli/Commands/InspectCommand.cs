using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention inspect</c>: the attention layers of a model, from its configuration and the headers of its files.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var path = new Argument<string>("PATH")
        {
            Description = "The model's folder, its .safetensors file, or the index of its files; config.json is read beside them.",
        };
        Option<string?> mapping = CommonOptions.Mapping();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("inspect", "List the attention layers of a model.") { path, mapping, json };
        command.SetAction(parsed => Run(parsed.GetRequiredValue(path), parsed.GetValue(mapping), parsed.GetValue(json)));
        return command;
    }

    private static int Run(string path, string? mapping, bool json)
    {
        using var model = AttentionModel.Open(path, mapping);
        if (json)
            PrintJson(model);
        else
            PrintTable(model);
        return ExitCode.Success;
    }

    private static void PrintJson(AttentionModel model) => Json.Print(
        new
        {
            path = model.Path,
            modelType = model.ModelType.Length == 0 ? null : model.ModelType,
            refusals = model.Refusals.Count == 0 ? null : model.Refusals,
            layers = model.Layers.Select(layer => new
            {
                stack = layer.Stack,
                index = layer.Index,
                cross = layer.IsCross,
                causal = layer.IsCausal,
                prefix = layer.Prefix,
                elementType = ElementConversion.NameOf(layer.ElementType),
                embeddingSize = layer.Config.EmbeddingSize,
                heads = layer.Config.Heads,
                keyValueHeads = layer.Config.KeyValueHeads,
                headSize = layer.Config.HeadSize,
                keySize = layer.Config.KeySize,
                variant = layer.Variant,
            }),
        },
        Screen.Output);

    private static void PrintTable(AttentionModel model)
    {
        Table table = new Table();
        table.AddColumn("Layer");
        foreach (string column in (string[])["Heads", "KV", "Size", "Width", "Type"])
            table.AddColumn(new TableColumn(column).NoWrap());
        table.AddColumn("Variant");
        foreach (LayerGroup group in LayerGroup.Of(model.Layers))
        {
            AttentionModelLayer layer = group.First;
            table.AddRow(
                Screen.Cell(group.Name),
                Number(layer.Config.Heads),
                Number(layer.Config.KeyValueHeads),
                Number(layer.Config.HeadSize),
                Number(layer.Config.EmbeddingSize),
                ElementConversion.NameOf(layer.ElementType),
                Screen.Cell(layer.Variant));
        }

        Screen screen = Screen.Output;
        screen.Table(table);
        screen.Lines(
        [
            $"{(model.ModelType.Length == 0 ? "" : $"{model.ModelType}: ")}{Number(model.Layers.Count)} attention layers in {model.Path}. Their prefixes, N being the number:",
            .. model.Layers.GroupBy(layer => (layer.Stack, layer.IsCross, Prefix: LayerGroup.Pattern(layer.Prefix, layer.Index)))
                .Select(group => $"  {LayerGroup.NameOf([.. group])}: {group.Key.Prefix}"),
            .. model.Refusals.Select(refusal => $"Not computed: {refusal}."),
        ]);
    }

    private static string Number(int? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "";
}
