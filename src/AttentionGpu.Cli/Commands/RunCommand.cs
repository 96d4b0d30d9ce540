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
        var layer = new LayerOptions();
        Option<string> input = CommonOptions.Path<string>(
            "--input", "X", "Tensor 'x' [batch, length, embedding] of a .safetensors file, or a .npy file.");
        input.Required = true;
        Option<string?> context = CommonOptions.Path<string?>(
            "--context", "C", "What keys and values come from, likewise; the input itself if left out.");
        var needWeights = new Option<bool>("--need-weights") { Description = "Write the attention weights of each head, too." };
        Option<string> output = CommonOptions.Path<string>(
            "--output", "Y", "Where 'y' and 'weights' go: .safetensors, or .npy for 'y' alone; none of the files that are read.");
        output.Required = true;
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("run", "Run one multi-head attention layer of a model or a checkpoint, in float32.")
        {
            input, context, needWeights, device, output, json,
        };
        layer.AddTo(command);
        command.SetAction(parsed =>
        {
            var settings = new Settings(
                parsed.GetRequiredValue(input),
                parsed.GetValue(context),
                parsed.GetValue(needWeights),
                parsed.GetRequiredValue(device),
                parsed.GetRequiredValue(output),
                parsed.GetValue(json));
            if (settings.NeedWeights && TensorFile.IsNumPy(settings.Output))
                throw new ArgumentException("--need-weights writes two tensors; --output must be a .safetensors file.");
            using LayerSource source = layer.Open(parsed);
            return Run(settings, source, open);
        });
        return command;
    }

    private static int Run(Settings settings, LayerSource source, EngineFactory open)
    {
        if (source.IsCross is bool isCross && isCross != settings.Context is not null)
        {
            throw new ArgumentException(
                isCross ? "--context must be given beside --cross: keys and values come from it." : "--context needs --cross beside --model.");
        }

        OutputFile.Require(
            "--output", settings.Output,
            [.. source.Files, .. InputFile.List(null, ("--input", settings.Input), ("--context", settings.Context))]);
        Tensor<float> input = ReadInput(settings.Input);
        Tensor<float> context = settings.Context is string path ? ReadInput(path) : input;

        using AttentionEngine engine = open(settings.Device);
        using MultiHeadAttention<float> layer = source.Load(engine);
        Tensor<float> output = Tensor.CreateFromShape<float>(input.Lengths);
        Tensor<float>? weights = settings.NeedWeights
            ? Tensor.CreateFromShape<float>([input.Lengths[0], layer.Config.Heads, input.Lengths[1], context.Lengths[1] + layer.ExtraKeys])
            : null;

        (TimeSpan first, TimeSpan time) = Screen.Status($"attention on {engine.Device.Name}", report =>
        {
            TimeSpan cold = Time(() => Forward(layer, input, context, output, weights, source.Causal));
            if (cold > _longCall)
                return (cold, cold);
            report("a second call, without compilation");
            return (cold, Time(() => Forward(layer, input, context, output, weights, source.Causal)));
        });

        var tensors = new Dictionary<string, Tensor<float>> { ["y"] = output };
        if (weights is not null)
            tensors["weights"] = weights;
        TensorFile.Write(settings.Output, tensors);

        var cost = LayerCost.Of(layer.Config, input.Lengths, context.Lengths[1], source.Causal, settings.NeedWeights);

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

    private sealed record Settings(string Input, string? Context, bool NeedWeights, string Device, string Output, bool Json);
}
