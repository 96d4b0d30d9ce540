using System.Numerics.Tensors;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>
/// A random sequence of operations on several sequences of a cache: each is done to plain lists of rows too, and every output, every row
/// that the cache has and the number of its pages are compared.
/// </summary>
internal sealed partial class CacheTrial : IDisposable
{
    private const int Positions = 400;

    private readonly AttentionEngine _engine;
    private readonly Random _random;
    private readonly KeyValueCache _cache;
    private readonly List<CacheSession> _sessions = [];
    private readonly int _group;
    private readonly int _rotarySize;
    private readonly Tensor<float> _cosine;
    private readonly Tensor<float> _sine;
    private readonly string _context;

    public CacheTrial(AttentionEngine engine, int seed, bool isSmall)
    {
        _engine = engine;
        _random = new Random(seed);
        int headSize = Pick<int>(isSmall ? [1, 2, 6, 33] : [1, 2, 5, 13, 32, 33, 40, 64, 72]);
        KeyValueCacheKind kind = Pick(Enum.GetValues<KeyValueCacheKind>());
        bool isLatent = _random.Next(4) == 0;
        int capacity = _random.Next(1, isSmall ? 24 : 130);
        Options = new KeyValueCacheOptions
        {
            KeyValueHeads = _random.Next(1, isSmall ? 3 : 4),
            HeadSize = headSize,
            ValueHeadSize = isLatent ? _random.Next(1, headSize + 1) : _random.Next(2) == 0 ? null : _random.Next(1, headSize + 20),
            Layers = _random.Next(1, 3),
            Element = Pick(Enum.GetValues<KeyValueElement>()),
            Kind = kind,
            Capacity = capacity,
            Sequences = _random.Next(1, 7),
            PageSize = kind == KeyValueCacheKind.Paged ? Pick<int>([16, 32, 64]) : null,
            Pages = kind == KeyValueCacheKind.Paged && _random.Next(2) == 0 ? _random.Next(1, 9) : null,
            Window = kind == KeyValueCacheKind.Window ? _random.Next(1, capacity + 1) : null,
            ValuesInKeys = isLatent,
        };
        _group = _random.Next(1, isSmall ? 3 : 5);
        _rotarySize = headSize >= 2 && _random.Next(2) == 0 ? 2 * _random.Next(1, headSize / 2 + 1) : 0;
        int half = Math.Max(1, _rotarySize / 2);
        double[] angles = [.. Enumerable.Range(0, Positions * half).Select(i => i / half * Math.Pow(100, -(double)(i % half) / half))];
        _cosine = Tensor.Create(angles.Select(angle => (float)Math.Cos(angle)).ToArray(), [Positions, half]);
        _sine = Tensor.Create(angles.Select(angle => (float)Math.Sin(angle)).ToArray(), [Positions, half]);
        _cache = engine.CreateCache(Options);
        _context = $"seed {seed}: {Options}, group {_group}, rotary {_rotarySize}";
    }

    public KeyValueCacheOptions Options { get; }

    private int Heads => Options.KeyValueHeads * _group;

    private int ValueSize => Options.ValueHeadSize ?? Options.HeadSize;

    /// <summary>Does one operation, which chance picks. Nothing that is refused changes anything.</summary>
    public void Step()
    {
        int[] lengths = [.. _sessions.Select(session => session.Sequence.Length)];
        int pages = _cache.PagesInUse;
        int count = _sessions.Count;
        try
        {
            Operation();
        }
        catch (KeyValueCacheFullException)
        {
            Assert.Equal(count, _sessions.Count);
            Assert.Equal(lengths, _sessions.Select(session => session.Sequence.Length));
            Assert.Equal(pages, _cache.PagesInUse);
        }

        foreach (CacheSession session in _sessions)
            Assert.True(session.Tokens.Count == session.Sequence.Length, _context);
    }

    /// <summary>Ends all sequences: no page is left.</summary>
    public void Dispose()
    {
        foreach (CacheSession session in _sessions)
            session.Sequence.Dispose();
        Assert.True(_cache.PagesInUse == 0, $"{_cache.PagesInUse} pages leaked; {_context}");
        _cache.Dispose();
    }

    private T Pick<T>(IReadOnlyList<T> list) => list[_random.Next(list.Count)];

    private void Operation()
    {
        int chance = _random.Next(100);
        if (_sessions.Count == 0 || chance < 8)
        {
            _sessions.Add(new CacheSession(_cache.Open(), []));
            return;
        }

        CacheSession session = Pick(_sessions);
        if (session.Sequence.IsSpilled && chance is < 38 and (< 28 or >= 34))
        {
            Assert.Throws<InvalidOperationException>(() => session.Sequence.Truncate(0));
            CheckRows(session);
            session.Sequence.Restore();
            CheckRows(session);
            return;
        }

        switch (chance)
        {
            case < 18:
                int length = _random.Next(session.Tokens.Count + 1);
                if (IsRefused(session, length, () => session.Sequence.Fork(length)))
                    return;
                _sessions.Add(new CacheSession(session.Sequence.Fork(length), [.. session.Tokens[..length]]));
                break;
            case < 23:
                KeepPath(session);
                break;
            case < 28:
                int kept = _random.Next(session.Tokens.Count + 1);
                if (IsRefused(session, kept, () => session.Sequence.Truncate(kept)))
                    return;
                session.Sequence.Truncate(kept);
                session.Tokens.RemoveRange(kept, session.Tokens.Count - kept);
                break;
            case < 34:
                session.Sequence.Dispose();
                _sessions.Remove(session);
                break;
            case < 38:
                _cache.Defragment();
                CheckRows(session);
                break;
            case < 43:
                Abandon();
                break;
            case < 46 when !session.Sequence.IsSpilled:
                int before = _cache.PagesInUse;
                session.Sequence.Spill();
                Assert.True(_cache.PagesInUse <= before, _context);
                break;
            case < 49:
                Reload(session);
                break;
            case < 51:
                Move(session);
                break;
            case < 57:
                Batch(appends: false);
                break;
            default:
                Batch(appends: true);
                break;
        }
    }

    // Rows that a window has dropped do not come back.
    private bool IsRefused(CacheSession session, int length, Action action)
    {
        if (length == session.Tokens.Count || DroppedOf(length) == DroppedOf(session.Sequence))
            return false;
        Assert.Throws<ArgumentOutOfRangeException>(action);
        return true;
    }

    // Rows that other sequences share stay as they are.
    private void KeepPath(CacheSession session)
    {
        int length = _random.Next(session.Tokens.Count + 1);
        int behind = session.Tokens.Count - length;
        int still = _random.Next(3);
        int[] accepted = Options.Window is null
            ? [.. Enumerable.Range(0, behind).Where(i => i < still || _random.Next(2) == 0)]
            : [.. Enumerable.Range(0, _random.Next(behind + 1))];
        if (IsRefused(session, length + accepted.Length, () => session.Sequence.KeepPath(length, accepted)))
            return;
        session.Sequence.KeepPath(length, accepted);
        CacheToken[] path = [.. accepted.Select(i => session.Tokens[length + i])];
        session.Tokens.RemoveRange(length, behind);
        session.Tokens.AddRange(path);
        foreach (CacheSession one in _sessions)
            CheckRows(one);
    }

    private static int DroppedOf(KeyValueSequence sequence) => sequence.Length - sequence.ResidentLength;

    // ONNX Runtime's contract: T - G * ceil((T - C) / G).
    private int DroppedOf(int length)
    {
        if (Options.Window is not int window || length <= Options.Capacity)
            return 0;
        int step = Options.Capacity - window + 1;
        return (length - Options.Capacity + step - 1) / step * step;
    }

    // A batch that is disposed of before its layers are written has never been.
    private void Abandon()
    {
        (CacheSession[] chosen, int[] lengths) = Choose(appends: true);
        int[] before = [.. chosen.Select(session => session.Sequence.Length)];
        using (_cache.Append([.. chosen.Select(session => session.Sequence)], lengths))
        {
            for (int i = 0; i < chosen.Length; i++)
                Assert.Equal(before[i] + lengths[i], chosen[i].Sequence.Length);
        }

        Assert.Equal(before, chosen.Select(session => session.Sequence.Length));
        foreach (CacheSession session in chosen)
            CheckRows(session);
    }

    private void Reload(CacheSession session)
    {
        using var stream = new MemoryStream();
        session.Sequence.Save(stream);
        CheckRows(session);
        _sessions.Add(new CacheSession(_cache.Load(new MemoryStream(stream.ToArray())), [.. session.Tokens]));
        CheckRows(_sessions[^1]);
    }

    // To a cache of the other kind, and back.
    private void Move(CacheSession session)
    {
        bool toPages = Options.Kind == KeyValueCacheKind.Contiguous;
        using KeyValueCache other = _engine.CreateCache(Options with
        {
            Kind = toPages ? KeyValueCacheKind.Paged : Options.Window is null ? KeyValueCacheKind.Contiguous : KeyValueCacheKind.Window,
            PageSize = null,
            Pages = null,
            Sequences = 1,
        });
        using KeyValueSequence there = session.Sequence.CopyTo(other);
        _sessions.Add(new CacheSession(there.CopyTo(_cache), [.. session.Tokens]));
        CheckRows(_sessions[^1]);
    }

    private (CacheSession[] Sessions, int[] Lengths) Choose(bool appends)
    {
        CacheSession[] all = [.. _sessions.Where(session => !session.Sequence.IsSpilled)];
        _random.Shuffle(all);
        CacheSession[] chosen = all[.._random.Next(Math.Min(1, all.Length), all.Length + 1)];
        int[] lengths =
        [
            .. chosen.Select(session =>
            {
                int most = appends ? Math.Min(session.Sequence.AppendableRows, Positions - session.Tokens.Count)
                    : Options.Window is int window ? Math.Max(0, session.Sequence.ResidentLength - window + 1)
                    : _rotarySize == 0 ? 20 : session.Tokens.Count;
                return _random.Next(3) == 0 ? _random.Next(most + 1) : Math.Min(most, _random.Next(4));
            }),
        ];
        return (chosen, lengths);
    }
}
