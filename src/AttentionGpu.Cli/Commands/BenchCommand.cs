using System.CommandLine;
using AttentionGpu.Cli.Bench;
using AttentionGpu.Cli.Output;

namespace AttentionGpu.Cli.Commands;

/// <summary><c>attention bench</c>: one quick figure for one operation on one device.</summary>
internal static class BenchCommand
{
    private const string AttentionOperation = "sdpa";
    private const string LayerOperation = "mha";
    private const string LinearOperation = "linear";
    private const string DecodeOperation = "decode";

    // Peak and problem are timed in turns of the same length: a processor's clock is faster in short bursts.
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(2);

    public static Command Create(EngineFactory open)
    {
        var operation = new Option<string>("--op")
        {
            Description = "sdpa: attention alone; mha: a whole layer; linear: one product; decode: a step against a key/value cache.",
            HelpName = "OP",
            DefaultValueFactory = _ => AttentionOperation,
        };
        operation.AcceptOnlyFromAmong(AttentionOperation, LayerOperation, LinearOperation, DecodeOperation);
        var shape = new Option<string>("--shape")
        {
            Description =
                "sdpa, decode: batch,heads,length,head size; mha: batch,length,embedding,heads; linear: rows,output size,input size.",
            HelpName = "N,N,...",
            Required = true,
        };
        var keyValueHeads = new Option<int?>("--kv-heads")
        {
            Description = "Key/value heads, if fewer (sdpa, mha, decode).",
            HelpName = "K",
        };
        var keyLength = new Option<int?>("--kv-length") { Description = "Keys, if not as many as queries (sdpa).", HelpName = "L" };
        var causal = new Option<bool>("--causal") { Description = "Causal mask; the last query sees all keys." };
        var threads = new Option<int?>("--threads") { Description = "Most threads of a call (simd).", HelpName = "N" };
        var decode = new DecodeOptions();
        Option<string> device = CommonOptions.Device();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("bench", "Time one operation: median of repeated calls, and the share of what the machine can do.")
        {
            operation, shape, keyValueHeads, keyLength, causal, threads, device, json,
        };
        decode.AddTo(command);
        command.SetAction(parsed => Run(new Settings(
            parsed.GetRequiredValue(operation),
            parsed.GetRequiredValue(shape),
            parsed.GetValue(keyValueHeads),
            parsed.GetValue(keyLength),
            parsed.GetValue(causal),
            parsed.GetValue(threads),
            decode.Get(parsed),
            parsed.GetRequiredValue(device),
            parsed.GetValue(json)), open));
        return command;
    }

    private static int Run(Settings settings, EngineFactory open)
    {
        if (settings.Operation != DecodeOperation && settings.Decode.First is string unused)
            throw new ArgumentException($"{unused} is for {DecodeOperation}, not {settings.Operation}.");
        using AttentionEngine engine = open(settings.Device, new AttentionEngineOptions { Threads = settings.Threads });
        int threads = Math.Min(settings.Threads ?? int.MaxValue, Environment.ProcessorCount);
        if (settings.Operation == DecodeOperation)
            return Decode(engine, settings, threads);
        BenchProblem problem = Create(engine, settings);
        BenchFigures figures = Screen.Status($"{settings.Operation} on {engine.Device.Name}", _ =>
        {
            if (engine.Device.Kind != DeviceKind.Simd)
                return BenchFigures.Of(problem, Timing.Medians(_window, _duration, TimeSpan.Zero, problem.Run)[0]);
            using var limits = new MachineLimits(threads);
            double[] medians = Timing.Medians(_window, _duration, TimeSpan.Zero, problem.Run, limits.MultiplyAdd, limits.Read);
            return BenchFigures.Of(problem, medians, limits.PeakOperations, MachineLimits.ReadBytes);
        });
        BenchReport.Print(engine.Device, settings.Operation, settings.Shape, figures, settings.Json);
        return ExitCode.Success;
    }

    private static int Decode(AttentionEngine engine, Settings settings, int threads)
    {
        if (settings.KeyLength is not null || settings.Causal)
            throw new ArgumentException($"--kv-length and --causal are not for {DecodeOperation}.");
        int[] shape = BenchShape.Parse(settings.Shape, "batch,heads,length,head size");
        BenchShape.RequireDivides("--kv-heads", settings.KeyValueHeads ?? shape[1], "the heads of --shape", shape[1]);
        BenchShape.RequireTensors(settings.Shape, ("the queries", [shape[0], shape[1], shape[3]]));
        DecodeSettings step = settings.Decode.Step(shape, settings.KeyValueHeads ?? shape[1]);
        DecodeFigures figures = Screen.Status(
            $"{settings.Operation} on {engine.Device.Name}", _ => DecodeBench.Measure(engine, step, settings.Decode.Steps, threads));
        BenchReport.Print(engine.Device, settings.Operation, settings.Shape, figures.Step, settings.Json, figures);
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
            AttentionOperation => Attention(engine, settings, BenchShape.Parse(settings.Shape, "batch,heads,length,head size")),
            LayerOperation => Layer(engine, settings, BenchShape.Parse(settings.Shape, "batch,length,embedding,heads")),
            _ => Linear(engine, settings, BenchShape.Parse(settings.Shape, "rows,output size,input size")),
        };
    }

    private static BenchProblem Attention(AttentionEngine engine, Settings settings, int[] shape)
    {
        BenchShape.RequireDivides("--kv-heads", settings.KeyValueHeads ?? shape[1], "the heads of --shape", shape[1]);
        BenchShape.RequireTensors(
            settings.Shape, ("the queries", shape),
            ("the keys", [shape[0], settings.KeyValueHeads ?? shape[1], settings.KeyLength ?? shape[2], shape[3]]));
        return BenchProblem.Attention(engine, shape, settings.KeyValueHeads, settings.KeyLength, settings.Causal);
    }

    private static BenchProblem Layer(AttentionEngine engine, Settings settings, int[] shape)
    {
        (int batch, int length, int embedding, int heads) = (shape[0], shape[1], shape[2], shape[3]);
        BenchShape.RequireDivides($"--shape is '{settings.Shape}'", heads, "the embedding", embedding);
        BenchShape.RequireDivides("--kv-heads", settings.KeyValueHeads ?? heads, "the heads of --shape", heads);
        BenchShape.RequireTensors(settings.Shape, ("the input", [batch, length, embedding]), ("a weight", [embedding, embedding]));
        return BenchProblem.Layer(engine, shape, settings.KeyValueHeads, settings.Causal);
    }

    private static BenchProblem Linear(AttentionEngine engine, Settings settings, int[] shape)
    {
        (int rows, int columns, int depth) = (shape[0], shape[1], shape[2]);
        BenchShape.RequireTensors(
            settings.Shape, ("the input", [rows, depth]), ("the weight", [columns, depth]), ("the output", [rows, columns]));
        return BenchProblem.Linear(engine, shape);
    }

    private sealed record Settings(
        string Operation, string Shape, int? KeyValueHeads, int? KeyLength, bool Causal, int? Threads, DecodeValues Decode, string Device,
        bool Json);
}
