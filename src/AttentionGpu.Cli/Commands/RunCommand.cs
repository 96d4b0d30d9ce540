using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;
using AttentionGpu.Serialization;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention run</c>: one layer of a model or a checkpoint on the tensors of files.</summary>
internal static class RunCommand
{
    public static Command Create(EngineFactory open)
    {
        var layer = new LayerOptions();
        var inputs = new RunInputOptions();
        var needWeights = new Option<bool>("--need-weights") { Description = "Write the attention weights of each head, too." };
        Option<string> output = CommonOptions.Path<string>(
            "--output", "Y",
            "Where 'y' and 'weights' go: .safetensors, in the layer's element type, or .npy for 'y' alone, in float32; none of the files "
            + "that are read.");
        output.Required = true;
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("run", "Run one multi-head attention layer of a model or a checkpoint.");
        inputs.AddTo(command);
        foreach (Option option in (Option[])[needWeights, device, output, json])
            command.Options.Add(option);
        layer.AddTo(command);
        command.SetAction(parsed =>
        {
            var settings = new Settings(
                parsed.GetValue(needWeights), parsed.GetRequiredValue(device), parsed.GetRequiredValue(output), parsed.GetValue(json));
            if (settings.NeedWeights && TensorFile.IsNumPy(settings.Output))
                throw new ArgumentException("--need-weights writes two tensors; --output must be a .safetensors file.");
            if (settings.NeedWeights && inputs.HasLengths(parsed))
                throw new ArgumentException("--need-weights must be left out beside --lengths: ragged sequences have no weights.");
            inputs.Require(parsed);
            using LayerSource source = layer.Open(parsed);
            RequireContext(source, inputs.HasContext(parsed));
            OutputFile.Require("--output", settings.Output, [.. source.Files, .. inputs.Files(parsed)]);
            TensorFile.RequireFormat("--output", settings.Output);
            return Run(settings, source, inputs.Read(parsed), open);
        });
        return command;
    }

    private static void RequireContext(LayerSource source, bool hasContext)
    {
        if (source.IsCross is bool isCross && isCross != hasContext)
        {
            throw new ArgumentException(
                isCross
                    ? "--context must be given: keys and values of cross-attention come from it."
                    : "--context must be left out: the model's layer is self-attention (--cross chooses one of cross-attention).");
        }
    }

    private static int Run(Settings settings, LayerSource source, RunInputs inputs, EngineFactory open)
    {
        using AttentionEngine engine = open(settings.Device);
        using MultiHeadAttention layer = source.Load(engine);
        var run = LayerRun.Of(layer, inputs, source.Causal, settings.NeedWeights);
        run.Write(settings.Output);

        // Readers of a pipe expect the tensors alone.
        Screen screen = RealPath.Of(settings.Output).IsStandardOutput ? Screen.Error : Screen.Output;
        Print(settings, engine.Device, ElementConversion.NameOf(layer.ElementType), run, screen);
        return ExitCode.Success;
    }

    private static void Print(Settings settings, DeviceInfo device, string type, LayerRun run, Screen screen)
    {
        double gflops = run.Cost.Operations / run.Time.TotalSeconds / 1e9;
        if (settings.Json)
        {
            Json.Print(new
            {
                device = device.Name,
                type,
                firstMilliseconds = run.First.TotalMilliseconds,
                milliseconds = run.Time.TotalMilliseconds,
                operations = run.Cost.Operations,
                gflops,
                bytes = run.Cost.Bytes,
                output = settings.Output,
            }, screen);
            return;
        }

        CultureInfo culture = CultureInfo.InvariantCulture;
        Table table = new Table().HideHeaders().AddColumns("", "");
        table.AddRow("device", Screen.Cell($"{device.Name} ({device.Description})"));
        table.AddRow("type", type == "float32" ? type : $"{type}, with arithmetic in float32");
        table.AddRow("first call", string.Create(culture, $"{run.First.TotalMilliseconds:F2} ms, with compilation"));
        table.AddRow("time", string.Create(culture, $"{run.Time.TotalMilliseconds:F2} ms"));
        table.AddRow("speed", string.Create(culture, $"{gflops:F3} GFLOP/s"));
        table.AddRow("bytes moved", string.Create(culture, $"{run.Cost.Bytes:N0} (inputs, parameters and outputs, once each)"));
        table.AddRow("output", Screen.Cell(settings.Output));
        screen.Table(table);
    }

    private sealed record Settings(bool NeedWeights, string Device, string Output, bool Json);
}
