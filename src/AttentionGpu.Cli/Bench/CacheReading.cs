using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.KeyValueCaches;

namespace AttentionGpu.Cli.Bench;

/// <summary>
/// Plain reading of the rows that a step of decoding reads, where they lie in host memory: the yardstick of a step. It is read in several
/// ways, of which the fastest counts.
/// </summary>
internal sealed unsafe class CacheReading : ParallelWork
{
    private static readonly Way[] _allWays =
    [
        new(64 << 10, 0), new(64 << 10, 512), new(64 << 10, 2048), new(512 << 10, 0), new(512 << 10, 1024), new(512 << 10, 4096),
        new(512 << 10, 8192, LineStep: 2), new(512 << 10, 16384, LineStep: 2),
    ];

    private readonly DecodeSteps _steps;
    private readonly int _threads;

    // By the size of a piece, then by set.
    private readonly Dictionary<int, (nint Address, long Bytes)[][]> _pieces;
    private (nint Address, long Bytes)[] _current = [];
    private Way _way = _allWays[0];

    /// <param name="steps">The steps; their cache must be in host memory.</param>
    /// <param name="settings">The settings of the steps.</param>
    /// <param name="threads">Threads to read with.</param>
    public CacheReading(DecodeSteps steps, DecodeSettings settings, int threads)
    {
        (_steps, _threads) = (steps, threads);
        (nint, long)[][] runs = [.. Enumerable.Range(0, steps.Sets).Select(set => Runs(steps, settings, set))];
        _pieces = _allWays.Select(way => way.PieceBytes).Distinct()
            .ToDictionary(bytes => bytes, bytes => Array.ConvertAll(runs, set => Cut(set, bytes)));
        Bytes = runs.Average(set => set.Sum(run => (double)run.Item2));
    }

    /// <summary>Bytes of a set.</summary>
    public double Bytes { get; }

    /// <summary>Each reads the next set; in the order of <see cref="Names"/>.</summary>
    public Action[] Ways => Array.ConvertAll(_allWays, way => (Action)(() => Read(way)));

    /// <summary>What the ways are.</summary>
    public static string[] Names => Array.ConvertAll(
        _allWays, way => $"pieces of {way.PieceBytes >> 10} KiB{(way.Ahead == 0 ? "" : $", prefetch {way.Ahead} bytes ahead")}"
            + (way.LineStep == 1 ? "" : $", one line of {way.LineStep}"));

    public override void Work()
    {
        while (TryTake(out long item))
        {
            (nint address, long bytes) = _current[item];
            PlainReading.Read((byte*)address, bytes, _way.Ahead, _way.LineStep);
        }
    }

    private void Read(Way way)
    {
        _current = _pieces[way.PieceBytes][_steps.NextSet()];
        _way = way;
        Run(_current.Length, _threads, double.PositiveInfinity);
    }

    // Where the rows lie that a step of a set reads, keys and values, and scales where there are. Neighbours are one run.
    private static (nint Address, long Bytes)[] Runs(DecodeSteps steps, DecodeSettings settings, int set)
    {
        List<(nint Address, long Bytes)> runs = [];
        KeyValueStore store = steps.Cache.Store;
        int pageRows = steps.Cache.Options.PageRows;
        for (int i = 0; i < settings.Lengths.Length; i++)
        {
            foreach ((Memory.SharedMemory memory, int rowBytes) in store.Memories)
            {
                if (!memory.Peek().TryGetHostAddress(out nint start))
                    throw new InvalidOperationException("The cache is not in host memory.");

                // Shared rows are read once.
                int sharedPages = i == 0 ? 0 : settings.SharedRows / pageRows;
                ReadOnlySpan<int> pages = steps.Set(set)[i].Pages[sharedPages..];
                int visible = settings.VisibleRows(settings.Lengths[i]) - (sharedPages * pageRows);
                for (int head = 0; head < settings.KeyValueHeads; head++)
                {
                    for (int page = 0; page < pages.Length; page++)
                    {
                        int rows = Math.Min(visible - (page * pageRows), pageRows);
                        Add(runs, start + (nint)(store.FirstRow(pages[page], head) * rowBytes), (long)rows * rowBytes);
                    }
                }
            }
        }

        return [.. runs];
    }

    private static void Add(List<(nint Address, long Bytes)> runs, nint address, long bytes)
    {
        if (runs.Count > 0 && runs[^1].Address + runs[^1].Bytes == address)
            runs[^1] = (runs[^1].Address, runs[^1].Bytes + bytes);
        else
            runs.Add((address, bytes));
    }

    private static (nint Address, long Bytes)[] Cut((nint Address, long Bytes)[] runs, int bytes)
    {
        List<(nint, long)> pieces = [];
        foreach ((nint address, long length) in runs)
        {
            for (long first = 0; first < length; first += bytes)
                pieces.Add((address + (nint)first, Math.Min(bytes, length - first)));
        }

        return [.. pieces];
    }

    /// <summary>A way to read.</summary>
    /// <param name="PieceBytes">Bytes that a thread takes at once.</param>
    /// <param name="Ahead">How many bytes ahead it prefetches; 0 for none.</param>
    /// <param name="LineStep">It prefetches one line of so many.</param>
    private sealed record Way(int PieceBytes, int Ahead, int LineStep = 1);
}
