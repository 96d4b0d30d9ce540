using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Cli.Bench;
using Microsoft.ML.OnnxRuntime;

namespace AttentionGpu.Bench.Peers;

/// <summary>
/// Whole steps of decoding with a cache, append included, on <c>simd</c>: beside ONNX Runtime's <c>GroupQueryAttention</c> with past and
/// present in one buffer, and kinds and element types of caches beside each other. Everything that is compared runs in the same turns.
/// Prints tables, and writes them into <c>bench/RESULTS.md</c> between two marks.
/// </summary>
internal sealed class DecodeReport : IDisposable
{
    private const int Heads = 32;
    private const int HeadSize = 128;

    private static readonly int[] _keyHeads = [8, 32];
    private static readonly int[] _lengths = [4096, 32768];
    private static readonly KeyValueElement[] _peerElements = [KeyValueElement.Float32, KeyValueElement.Int8, KeyValueElement.Int4];

    private readonly AttentionEngine _engine = new("simd");
    private readonly int _threads = Environment.ProcessorCount;
    private readonly MachineLimits _limits;
    private readonly ReportText _text = new();

    private DecodeReport()
    {
        _limits = new MachineLimits(_threads);
    }

    /// <param name="folder">The folder of RESULTS.md; null to print only.</param>
    public static void Run(string? folder)
    {
        using var report = new DecodeReport();
        report.Write();
        if (folder is not null)
            report._text.Save(folder, "decode");
    }

    public void Dispose()
    {
        _limits.Dispose();
        _engine.Dispose();
    }

    // More threads than heads: ONNX Runtime then splits a head's keys.
    private int ManyThreads => Math.Max(_threads, Heads) + 8;

    private void Write()
    {
        _text.Line($"`simd` ({_engine.Device.Capability}) against ONNX Runtime {OrtEnv.Instance().GetVersionString()}, {_threads} threads, "
            + $".NET {Environment.Version}, {RuntimeInformation.OSDescription}.");
        _text.Line($"{Heads} heads of {HeadSize}, one sequence where nothing else is said; medians in turns.");
        _text.Line("Floor: the larger of bytes over the bandwidth and operations over the peak of the same turns.");
        WritePeers();
        WriteElements();
        WriteKinds();
        WriteWindows();
        WriteSessions();
        WritePrefixes();
    }

    private void WritePeers()
    {
        _text.Line("");
        _text.Line("A step against ONNX Runtime's `GroupQueryAttention`, appending in place (one buffer for past and present), with");
        _text.Line($"{_threads} and {ManyThreads} threads; ratio: its better time over ours.");
        _text.Line("");
        _text.Row(
            [
                "key/value heads", "keys", "cache", "floor, ms", "ours, ms", "GB/s", "memory", $"theirs {_threads}, ms",
                $"theirs {ManyThreads}, ms", "ratio",
            ],
            isHead: true);
        foreach ((int keyHeads, int length) in from heads in _keyHeads from length in _lengths select (heads, length))
        {
            foreach (KeyValueElement element in _peerElements)
            {
                DecodeSettings settings = Settings(keyHeads, element, length);
                using var steps = new DecodeSteps(_engine, settings);
                using var cache = new OnnxRuntimeCache(settings, steps);
                using var few = new OnnxRuntimeSteps(settings, steps, cache, _threads);
                using var many = new OnnxRuntimeSteps(settings, steps, cache, ManyThreads);
                steps.Run();
                few.Check(steps.Output());
                many.Check(steps.Output());
                DecodeTimes times = DecodeTimes.Measure(_limits, _threads, 1, [(settings, steps)], few.Run, many.Run);
                double theirs = Math.Min(times.Others[0], times.Others[1]);
                _text.Row([
                    $"{keyHeads}", $"{length}", Name(element), .. Cells(settings, times, 0), Milliseconds(times.Others[0]),
                    Milliseconds(times.Others[1]), Figures.Text(theirs / times.Ours[0], "F2"),
                ]);
            }
        }
    }

    private void WriteElements()
    {
        _text.Line("");
        _text.Line($"Element types at {_lengths[^1]} keys, each in the same turns as float32. Speed-up: float32's time over the type's; "
            + "predicted: of the floors.");
        _text.Line("");
        _text.Row(["key/value heads", "cache", "floor, ms", "ms", "GB/s", "memory", "speed-up predicted", "came"], isHead: true);
        foreach (int keyHeads in _keyHeads)
        {
            DecodeSettings plain = Settings(keyHeads, KeyValueElement.Float32, _lengths[^1]);
            using var plainSteps = new DecodeSteps(_engine, plain);
            foreach (KeyValueElement element in Enum.GetValues<KeyValueElement>().Skip(1))
            {
                DecodeSettings settings = Settings(keyHeads, element, _lengths[^1]);
                using var steps = new DecodeSteps(_engine, settings);
                DecodeTimes times = DecodeTimes.Measure(_limits, _threads, 1, [(settings, steps), (plain, plainSteps)]);
                _text.Row([
                    $"{keyHeads}", Name(element), .. Cells(settings, times, 0),
                    Figures.Text(times.Floor(plain, 1) / times.Floor(settings, 0), "F2"), Figures.Text(times.Ours[1] / times.Ours[0], "F2"),
                ]);
            }
        }
    }

    private void WriteKinds()
    {
        _text.Line("");
        _text.Line("Pages, float32, 8 key/value heads, each in the same turns as a contiguous cache.");
        _text.Line("Relative speed: the contiguous cache's time over that of the pages (predicted 1).");
        _text.Line("");
        _text.Row(["keys", "rows of a page", "floor, ms", "ms", "GB/s", "memory", "contiguous, ms", "relative speed"], isHead: true);
        foreach (int length in _lengths)
        {
            DecodeSettings plain = Settings(8, KeyValueElement.Float32, length);
            using var plainSteps = new DecodeSteps(_engine, plain);
            foreach (int rows in (int[])[64, 16])
            {
                DecodeSettings settings = plain with { Kind = KeyValueCacheKind.Paged, PageSize = rows };
                using var steps = new DecodeSteps(_engine, settings);
                DecodeTimes times = DecodeTimes.Measure(_limits, _threads, 1, [(settings, steps), (plain, plainSteps)]);
                _text.Row([
                    $"{length}", $"{rows}", .. Cells(settings, times, 0), Milliseconds(times.Ours[1]),
                    Figures.Text(times.Ours[1] / times.Ours[0], "F2"),
                ]);
            }
        }
    }

    private void WriteWindows()
    {
        const int count = 64;
        DecodeSettings[] settings = Array.ConvertAll<int, DecodeSettings>(
            [8192, 65536],
            length => Settings(8, KeyValueElement.Float32, length) with { Kind = KeyValueCacheKind.Window, Window = 4096 });
        using var near = new DecodeSteps(_engine, settings[0]);
        using var far = new DecodeSteps(_engine, settings[1]);
        DecodeTimes times = DecodeTimes.Measure(_limits, _threads, count, [(settings[0], near), (settings[1], far)]);
        _text.Line("");
        _text.Line($"A window of 4,096 keys, float32, 8 key/value heads; means of {count} steps, the moves of rows included.");
        _text.Line("");
        _text.Row(["total length", "floor, ms", "ms", "GB/s", "memory"], isHead: true);
        for (int i = 0; i < settings.Length; i++)
            _text.Row([$"{settings[i].Lengths[0]}", .. Cells(settings[i], times, i)]);
    }

    private void WriteSessions()
    {
        const int sessions = 64;
        int[] lengths = [.. Enumerable.Range(0, sessions).Select(i => 100 + (i * 37 % sessions * 7900 / (sessions - 1)))];
        _text.Line("");
        _text.Line($"{sessions} sessions of {lengths.Min()} to {lengths.Max()} keys, one step each in one batch, float32.");
        _text.Line("");
        _text.Row(["key/value heads", "cache", "floor, ms", "ms", "GB/s", "memory"], isHead: true);
        foreach (KeyValueCacheKind kind in (KeyValueCacheKind[])[KeyValueCacheKind.Contiguous, KeyValueCacheKind.Paged])
        {
            DecodeSettings settings = Settings(8, KeyValueElement.Float32, lengths) with { Kind = kind };
            using var steps = new DecodeSteps(_engine, settings);
            DecodeTimes times = DecodeTimes.Measure(_limits, _threads, 1, [(settings, steps)]);
            _text.Row(["8", kind.ToString().ToLowerInvariant(), .. Cells(settings, times, 0)]);
        }
    }

    private void WritePrefixes()
    {
        const int sessions = 16;
        const int prefix = 4096;
        const int suffix = 64;
        int[] lengths = [.. Enumerable.Repeat(prefix + suffix, sessions)];
        _text.Line("");
        _text.Line($"{sessions} sessions with a prefix of {prefix} keys and {suffix} of their own, one step each in one batch, float32, "
            + "paged.");
        _text.Line("Shared: the prefix is in the cache once, and attended to once. Speed-up: the time without sharing over it.");
        _text.Line("");
        _text.Row(
            ["key/value heads", "floor, ms", "shared, ms", "GB/s", "memory", "apart, ms", "speed-up predicted", "came"], isHead: true);
        foreach (int keyHeads in _keyHeads)
        {
            DecodeSettings apart = Settings(keyHeads, KeyValueElement.Float32, lengths) with { Kind = KeyValueCacheKind.Paged };
            DecodeSettings shared = apart with { SharedRows = prefix };
            using var apartSteps = new DecodeSteps(_engine, apart);
            using var sharedSteps = new DecodeSteps(_engine, shared);
            DecodeTimes times = DecodeTimes.Measure(_limits, _threads, 1, [(shared, sharedSteps), (apart, apartSteps)]);
            RequireSame(sharedSteps.Output(), apartSteps.Output());
            _text.Row([
                $"{keyHeads}", .. Cells(shared, times, 0), Milliseconds(times.Ours[1]),
                Figures.Text(times.Floor(apart, 1) / times.Floor(shared, 0), "F2"), Figures.Text(times.Ours[1] / times.Ours[0], "F2"),
            ]);
        }
    }

    // Both have the same rows.
    private static void RequireSame(float[] shared, float[] apart)
    {
        float difference = TensorPrimitives.Distance<float>(shared, apart) / TensorPrimitives.Norm<float>(apart);
        if (!(difference < 1e-5f))
        {
            throw new InvalidOperationException(
                $"The outputs of sessions with a shared prefix are {difference:G3} away from those without.");
        }
    }

    private static DecodeSettings Settings(int keyHeads, KeyValueElement element, params int[] lengths) =>
        new() { Heads = Heads, KeyValueHeads = keyHeads, HeadSize = HeadSize, Lengths = lengths, Element = element };

    // Floor, time, rate and the share of plain reading.
    private static string[] Cells(DecodeSettings settings, DecodeTimes times, int index) =>
    [
        Milliseconds(times.Floor(settings, index)), Milliseconds(times.Ours[index]),
        Figures.Text(settings.Bytes / times.Ours[index] / 1e9, "F1"),
        Figures.Text(settings.Bytes / times.Ours[index] / times.Bandwidth[index], "P0"),
    ];

    private static string Milliseconds(double seconds) => Figures.Text(seconds * 1e3, "F2");

    private static string Name(KeyValueElement element) => element.ToString().ToLowerInvariant();
}
