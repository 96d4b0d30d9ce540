using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using AttentionGpu.Cli.Files;
using AttentionGpu.Cli.Output;
using AttentionGpu.Serialization;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention run</c>: one layer of a checkpoint on the tensors of a file.</summary>
internal static class RunCommand
{
    private const string InputTensor = "x";

    // A second call shows the speed without compilation; it is left out where the first took this long.
    private static readonly TimeSpan _longCall = TimeSpan.FromSeconds(5);

    public static Command Create(EngineFactory open)
    {
        Option<string> weights = CommonOptions.Path<string>("--weights", "W.safetensors", "The checkpoint.");
        weights.Required = true;
        var prefix = new Option<string?>("--prefix") { Description = "What stands before the layer's tensor names.", HelpName = "P" };
        var heads = new Option<int>("--heads") { Description = "Query heads.", HelpName = "H", Required = true };
        var keyValueHeads = new Option<int?>("--kv-heads") { Description = "Key/value heads; told from the shapes if left out.", HelpName = "K" };
        Option<string> input = CommonOptions.Path<string>(
            "--input", "X", "Tensor 'x' [batch, length, embedding] of a .safetensors file, or a .npy file.");
        input.Required = true;
        Option<string?> context = CommonOptions.Path<string?>(
            "--context", "C", "What keys and values come from, likewise; the input itself if left out.");
        var causal = new Option<bool>("--causal") { Description = "Position i sees positions 0 to i." };
        var needWeights = new Option<bool>("--need-weights") { Description = "Write the attention weights of each head, too." };
        Option<string> output = CommonOptions.Path<string>(
            "--output", "Y", "Where 'y' and 'weights' go: .safetensors, or .npy for 'y' alone; none of the files that are read.");
        output.Required = true;
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var positions = new PositionOptions();
        var command = new Command("run", "Run one multi-head attention layer of a checkpoint.")
        {
            weights, prefix, heads, keyValueHeads, input, context, causal, needWeights, device, output, json,
        };
        positions.AddTo(command);
        command.SetAction(parsed => Run(new Settings(
            parsed.GetRequiredValue(weights),
            parsed.GetValue(prefix),
            parsed.GetRequiredValue(heads),
            parsed.GetValue(keyValueHeads),
            positions.Read(parsed),
            parsed.GetRequiredValue(input),
            parsed.GetValue(context),
            parsed.GetValue(causal) ? Causal.TopLeft : Causal.None,
            parsed.GetValue(needWeights),
            parsed.GetRequiredValue(device),
            parsed.GetRequiredValue(output),
            parsed.GetValue(json)), open));
        return command;
    }

    private static int Run(Settings settings, EngineFactory open)
    {
        if (settings.NeedWeights && TensorFile.IsNumPy(settings.Output))
            throw new ArgumentException("--need-weights writes two tensors; --output must be a .safetensors file.");
        OutputFile.Require(
            "--output", settings.Output,
            InputFile.List(settings.Weights, ("--input", settings.Input), ("--context", settings.Context)));
        Tensor<float> input = ReadInput(settings.Input);
        Tensor<float> context = settings.Context is string path ? ReadInput(path) : input;

        using AttentionEngine engine = open(settings.Device);
        using MultiHeadAttention<float> layer =
            MultiHeadAttention.Load<float>(
                engine, settings.Weights, settings.Heads, settings.KeyValueHeads, settings.Prefix, options: settings.Layer);
        Tensor<float> output = Tensor.CreateFromShape<float>(input.Lengths);
        Tensor<float>? weights = settings.NeedWeights
            ? Tensor.CreateFromShape<float>([input.Lengths[0], settings.Heads, input.Lengths[1], context.Lengths[1] + layer.ExtraKeys])
            : null;

        (TimeSpan first, TimeSpan time) = Screen.Status($"attention on {engine.Device.Name}", report =>
        {
            TimeSpan cold = Time(() => Forward(layer, input, context, output, weights, settings.Causal));
            if (cold > _longCall)
                return (cold, cold);
            report("a second call, without compilation");
            return (cold, Time(() => Forward(layer, input, context, output, weights, settings.Causal)));
        });

        var tensors = new Dictionary<string, Tensor<float>> { ["y"] = output };
        if (weights is not null)
            tensors["weights"] = weights;
        TensorFile.Write(settings.Output, tensors);

        var cost = LayerCost.Of(layer.Config, input.Lengths, context.Lengths[1], settings.Causal, settings.NeedWeights);

        // Readers of a pipe expect the tensors alone.
        Screen screen = RealPath.Of(settings.Output).IsStandardOutput ? Screen.Error : Screen.Output;
        Print(settings, engine.Device, first, time, cost, screen);
        return ExitCode.Success;
    }

    private static void Print(Settings settings, DeviceInfo device, TimeSpan first, TimeSpan time, LayerCost cost, Screen screen)
    {
        double gflops = cost.Operations / time.TotalSeconds / 1e9;
        if (settings.Json)
        {
            Json.Print(new
            {
                device = device.Name,
                firstMilliseconds = first.TotalMilliseconds,
                milliseconds = time.TotalMilliseconds,
                operations = cost.Operations,
                gflops,
                bytes = cost.Bytes,
                output = settings.Output,
            }, screen);
            return;
        }

        CultureInfo culture = CultureInfo.InvariantCulture;
        Table table = new Table().HideHeaders().AddColumns("", "");
        table.AddRow("device", Screen.Cell($"{device.Name} ({device.Description})"));
        table.AddRow("first call", string.Create(culture, $"{first.TotalMilliseconds:F2} ms, with compilation"));
        table.AddRow("time", string.Create(culture, $"{time.TotalMilliseconds:F2} ms"));
        table.AddRow("speed", string.Create(culture, $"{gflops:F3} GFLOP/s"));
        table.AddRow("bytes moved", string.Create(culture, $"{cost.Bytes:N0} (inputs, parameters and outputs, once each)"));
        table.AddRow("output", Screen.Cell(settings.Output));
        screen.Table(table);
    }

    private static Tensor<float> ReadInput(string path)
    {
        Tensor<float> tensor = TensorFile.Read(path, InputTensor);
        return tensor.Rank == 3
            ? tensor
            : throw new InvalidDataException($"The tensor of '{path}' must be [batch, length, embedding]; it has rank {tensor.Rank}.");
    }

    private static void Forward(
        MultiHeadAttention<float> layer, Tensor<float> input, Tensor<float> context, Tensor<float> output, Tensor<float>? weights, Causal causal)
    {
        if (weights is null)
            layer.Forward(input.AsReadOnlyTensorSpan(), context.AsReadOnlyTensorSpan(), context.AsReadOnlyTensorSpan(), output.AsTensorSpan(), causal);
        else
            layer.ForwardWithWeights(input.AsReadOnlyTensorSpan(), context.AsReadOnlyTensorSpan(), context.AsReadOnlyTensorSpan(), output.AsTensorSpan(), weights.AsTensorSpan(), causal: causal);
    }

    private static TimeSpan Time(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start);
    }

    private sealed record Settings(
        string Weights, string? Prefix, int Heads, int? KeyValueHeads, MultiHeadAttentionLoadOptions Layer, string Input,
        string? Context, Causal Causal, bool NeedWeights, string Device, string Output, bool Json);
}
