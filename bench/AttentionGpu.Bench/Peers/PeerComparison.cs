using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// Ours against ONNX Runtime in one process: same inputs, same thread count, results compared before anything is timed, runs alternating
/// in batches so that both see the same machine. Prints a table of medians.
/// </summary>
internal static class PeerComparison
{
    private const int Rounds = 5;
    private const double OperationsPerBatch = 6e9;
    private const double Tolerance = 1e-5;

    // ONNX Runtime's threads spin for a while after a call; ours would share the cores with them.
    private static readonly TimeSpan _settle = TimeSpan.FromMilliseconds(50);

    private static readonly string[] _shapes =
        ["1,12,128,64", "8,12,128,64", "1,12,512,64", "1,12,1024,64", "1,8,2048,64", "1,8,2048,128", "1,8,4096,64", "1,32,512,128"];

    public static void Run(string device)
    {
        int threads = Environment.ProcessorCount;
        using var engine = new AttentionEngine(device);
        Console.WriteLine($"{engine.Device.Name} ({engine.Device.Capability}) against ONNX Runtime, {threads} threads, GFLOP/s, medians");
        Console.WriteLine("| B,H,S,D | ours | ONNX Runtime | ratio | ours, causal | ONNX Runtime | ratio |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (string shape in _shapes)
        {
            nint[] lengths = [.. shape.Split(',').Select(text => nint.Parse(text, CultureInfo.InvariantCulture))];
            Console.WriteLine($"| {shape} |{Measure(engine, lengths, causal: false, threads)}{Measure(engine, lengths, causal: true, threads)}");
        }
    }

    private static string Measure(AttentionEngine engine, nint[] lengths, bool causal, int threads)
    {
        nint count = lengths[0] * lengths[1] * lengths[2] * lengths[3];
        float[] query = Random(count, 1);
        float[] key = Random(count, 2);
        float[] value = Random(count, 3);
        float[] output = new float[count];
        float[] expected = new float[count];
        var options = new AttentionOptions { Causal = causal ? Causal.TopLeft : Causal.None };
        using var peer = new OnnxRuntimeAttention(lengths, causal, threads, query, key, value, expected);
        void Ours() => engine.ScaledDotProductAttention(
            new ReadOnlyTensorSpan<float>(query, lengths), new ReadOnlyTensorSpan<float>(key, lengths),
            new ReadOnlyTensorSpan<float>(value, lengths), new TensorSpan<float>(output, lengths), options);

        Ours();
        peer.Run();
        float largest = expected.Max(Math.Abs);
        float difference = output.Zip(expected, (left, right) => Math.Abs(left - right)).Max();
        if (!(difference <= Tolerance * largest))
            throw new InvalidOperationException($"Results differ by {difference}, with values up to {largest}: there is nothing to time.");

        double operations = 4.0 * count * lengths[2] * (causal ? 0.5 : 1.0);
        int batch = (int)Math.Clamp(OperationsPerBatch / operations, 2, 100);
        List<double> ours = [];
        List<double> theirs = [];
        for (int round = 0; round < Rounds; round++)
        {
            Time(Ours, batch, ours);
            Time(peer.Run, batch, theirs);
        }

        double ourSpeed = operations / Median(ours) / 1e9;
        double theirSpeed = operations / Median(theirs) / 1e9;
        return string.Create(CultureInfo.InvariantCulture, $" {ourSpeed:F0} | {theirSpeed:F0} | {ourSpeed / theirSpeed:F2} |");
    }

    private static void Time(Action action, int batch, List<double> seconds)
    {
        Thread.Sleep(_settle);
        action();
        for (int i = 0; i < batch; i++)
        {
            long start = Stopwatch.GetTimestamp();
            action();
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }

    private static float[] Random(nint count, int seed)
    {
        var random = new Random(seed);
        var values = new float[count];
        for (int i = 0; i < values.Length; i++)
            values[i] = 2f * random.NextSingle() - 1f;
        return values;
    }
}
