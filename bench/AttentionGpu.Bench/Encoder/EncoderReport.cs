using AttentionGpu.Bench.Peers;
using AttentionGpu.Cli.Bench;
using AttentionGpu.Tests.Models;

namespace AttentionGpu.Bench.Encoder;

/// <summary>
/// What a service does with an encoder: the attention layers of MiniLM on 64 sentences of mixed length, and on one alone. Prints a table.
/// </summary>
internal static class EncoderReport
{
    private static readonly TimeSpan _window = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan _duration = TimeSpan.FromSeconds(10);

    // ONNX Runtime's threads spin for a while after a call; ours would share the cores with them.
    private static readonly TimeSpan _settle = TimeSpan.FromMilliseconds(50);

    public static void Run(string device, int threads)
    {
        if (MiniLmFolder.Missing is string reason)
            throw new InvalidOperationException(reason);
        using var engine = new AttentionEngine(device, new AttentionEngineOptions { Threads = threads });
        using var limits = new MachineLimits(threads);
        using var folder = new MiniLmFolder();
        using var model = AttentionModel.Open(folder.Path);
        var batch = new EncoderComparison(folder, model, EncoderSentences.All);
        var alone = new EncoderComparison(folder, model, EncoderSentences.Alone);
        Console.WriteLine($"Tokens of the sentences: {string.Join(", ", batch.Lengths)}; of the one alone: {alone.Lengths[0]}.");
        Console.WriteLine(
            $"{batch.Tokens.Ragged} tokens, {batch.Tokens.Padded} padded: {Text((double)batch.Tokens.Padded / batch.Tokens.Ragged)} times; "
            + $"operations {Text(batch.PaddedOperations / batch.Operations)} times.");
        Console.WriteLine();
        Console.WriteLine("| | GFLOP | ours, ms | of the peak | ONNX Runtime, ms: `Attention` | `MultiHeadAttention` | ratio |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        Measure("64 sentences", batch.Create(engine, model, threads), limits);
        Measure("one sentence", alone.Create(engine, model, threads), limits);
    }

    private static void Measure(string name, Comparison comparison, MachineLimits limits)
    {
        using (comparison)
        {
            comparison.Check();
            double[] medians = Timing.Medians(
                _window, _duration, _settle, [comparison.Ours, limits.MultiplyAdd, .. comparison.Peers.Select(peer => (Action)peer.Run)]);
            double[] theirs = medians[2..];
            double peak = limits.PeakOperations / medians[1];
            Console.WriteLine(
                $"| {name} | {Text(comparison.Operations / 1e9)} | {Text(medians[0] * 1e3)} "
                + $"| {Figures.Text(comparison.Operations / medians[0] / peak, "P0")} "
                + $"| {string.Join(" | ", theirs.Select(seconds => Text(seconds * 1e3)))} | {Text(theirs.Min() / medians[0])} |");
        }
    }

    private static string Text(double value) => Figures.Text(value, "F2");
}
