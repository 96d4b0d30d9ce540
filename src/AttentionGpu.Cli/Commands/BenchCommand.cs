using System.CommandLine;
using System.Globalization;
using AttentionGpu.Cli.Bench;
using AttentionGpu.Cli.Output;
using Spectre.Console;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention bench</c>: one quick figure for one operation on one device.</summary>
internal static class BenchCommand
{
    private const string AttentionOperation = "sdpa";
    private const string LayerOperation = "mha";
    private const string LinearOperation = "linear";

    // Peak and problem are timed in turns of the same length: a processor's clock is faster in short bursts.
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(2);

    public static Command Create()
    {
        var operation = new Option<string>("--op")
        {
            Description = "sdpa: attention alone; mha: a whole layer; linear: one product.",
            HelpName = "OP",
            DefaultValueFactory = _ => AttentionOperation,
        };
        operation.AcceptOnlyFromAmong(AttentionOperation, LayerOperation, LinearOperation);
        var shape = new Option<string>("--shape")
        {
            Description = "sdpa: batch,heads,length,head size; mha: batch,length,embedding,heads; linear: rows,output size,input size.",
            HelpName = "N,N,...",
            Required = true,
        };
        var keyValueHeads = new Option<int?>("--kv-heads") { Description = "Key/value heads, if fewer (sdpa, mha).", HelpName = "K" };
        var keyLength = new Option<int?>("--kv-length") { Description = "Keys, if not as many as queries (sdpa).", HelpName = "L" };
        var causal = new Option<bool>("--causal") { Description = "Causal mask; the last query sees all keys." };
        var threads = new Option<int?>("--threads") { Description = "Most threads of a call (simd).", HelpName = "N" };
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("bench", "Time one operation: median of repeated calls, and the share of what the machine can do.")
        {
            operation, shape, keyValueHeads, keyLength, causal, threads, device, json,
        };
        command.SetAction(parsed => Run(new Settings(
            parsed.GetRequiredValue(operation),
            parsed.GetRequiredValue(shape),
            parsed.GetValue(keyValueHeads),
            parsed.GetValue(keyLength),
            parsed.GetValue(causal),
            parsed.GetValue(threads),
            parsed.GetRequiredValue(device),
            parsed.GetValue(json))));
        return command;
    }

    private static int Run(Settings settings)
    {
        using var engine = new AttentionEngine(settings.Device, new AttentionEngineOptions { Threads = settings.Threads });
        BenchProblem problem = Create(engine, settings);
        bool isHost = engine.Device.Kind == DeviceKind.Simd;
        int threads = Math.Min(settings.Threads ?? int.MaxValue, Environment.ProcessorCount);
        (double seconds, double peak, double bandwidth) = LongWork.Run($"{settings.Operation} on {engine.Device.Name}", _ =>
        {
            if (!isHost)
                return (Timing.Medians(_window, _duration, TimeSpan.Zero, problem.Run)[0], double.NaN, double.NaN);
            using var limits = new MachineLimits(threads);
            double[] medians = Timing.Medians(_window, _duration, TimeSpan.Zero, problem.Run, limits.MultiplyAdd, limits.Read);
            return (medians[0], limits.PeakOperations / medians[1], MachineLimits.ReadBytes / medians[2]);
        });
        Print(settings, engine.Device, problem, isHost, seconds, peak, bandwidth);
        return ExitCode.Success;
    }

    private static BenchProblem Create(AttentionEngine engine, Settings settings)
    {
        if (settings.KeyLength is not null && settings.Operation != AttentionOperation)
            throw new ArgumentException($"--kv-length is for {AttentionOperation}, not {settings.Operation}.");
        if (settings.Operation == LinearOperation && (settings.KeyValueHeads is not null || settings.Causal))
            throw new ArgumentException($"--kv-heads and --causal are not for {LinearOperation}.");
        if (settings.KeyLength < 1)
            throw new ArgumentException($"--kv-length is {settings.KeyLength}; it must be at least 1.");
        return settings.Operation switch
        {
            AttentionOperation => BenchProblem.Attention(
                engine, BenchShape.Parse(settings.Shape, "batch,heads,length,head size"), settings.KeyValueHeads, settings.KeyLength, settings.Causal),
            LayerOperation => BenchProblem.Layer(
                engine, BenchShape.Parse(settings.Shape, "batch,length,embedding,heads"), settings.KeyValueHeads, settings.Causal),
            _ => BenchProblem.Linear(engine, BenchShape.Parse(settings.Shape, "rows,output size,input size")),
        };
    }

    private static void Print(
        Settings settings, DeviceInfo device, BenchProblem problem, bool isHost, double seconds, double peak, double bandwidth)
    {
        double speed = problem.Operations / seconds;
        double rate = problem.Bytes / seconds;
        if (settings.Json)
        {
            Json.Print(new
            {
                device = device.Name,
                op = settings.Operation,
                shape = settings.Shape,
                milliseconds = seconds * 1e3,
                gflops = speed / 1e9,
                peakShare = isHost ? speed / peak : (double?)null,
                gigabytesPerSecond = rate / 1e9,
                bandwidthShare = isHost ? rate / bandwidth : (double?)null,
                peakGflops = isHost ? peak / 1e9 : (double?)null,
                peakGigabytesPerSecond = isHost ? bandwidth / 1e9 : (double?)null,
            });
            return;
        }

        CultureInfo culture = CultureInfo.InvariantCulture;
        Table table = new Table().HideHeaders().AddColumns("", "");
        table.AddRow("device", Markup.Escape($"{device.Name} ({device.Description})"));
        table.AddRow("time", string.Create(culture, $"{seconds * 1e3:F3} ms"));
        table.AddRow("speed", string.Create(culture, $"{speed / 1e9:F1} GFLOP/s") + Share(isHost, speed / peak));
        table.AddRow("memory", string.Create(culture, $"{rate / 1e9:F1} GB/s") + Share(isHost, rate / bandwidth));
        Tables.Print(table);
    }

    private static string Share(bool isHost, double share) =>
        isHost ? string.Create(CultureInfo.InvariantCulture, $", {share:P0} of what the machine did with nothing else") : "";

    private sealed record Settings(
        string Operation, string Shape, int? KeyValueHeads, int? KeyLength, bool Causal, int? Threads, string Device, bool Json);
}
