using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Bench;

/// <summary>
/// Steps of decoding that go round so many sets of sequences that no processor cache holds them. Each appends a token to every sequence of
/// the next set, attends, and drops the token again, so that lengths stay; a window cache cannot drop it, and does not need to.
/// </summary>
internal sealed class DecodeSteps : IDisposable
{
    /// <summary>What the sets have together at least, where there is memory for it.</summary>
    private const double LeastBytes = 1 << 30;

    // Short sequences would be too many to make.
    private const int MostSequences = 4096;

    /// <summary>Every so many rows are the same.</summary>
    public const int Period = 256;

    /// <summary>The scale of rows in 4 bits.</summary>
    public const float Int4Step = 1f / 8;

    /// <summary>The scale of rows in 8 bits.</summary>
    public const float Int8Step = 1f / 128;

    private readonly AttentionEngine _engine;
    private readonly DecodeSettings _settings;
    private readonly AttentionOptions _options;
    private readonly KeyValueSequence[][] _sets;
    private readonly int[] _newRows;
    private readonly DeviceTensor<float> _query;
    private readonly DeviceTensor<float> _key;
    private readonly DeviceTensor<float> _value;
    private readonly DeviceTensor<float> _output;
    private int _last = -1;

    /// <param name="engine">Where it runs.</param>
    /// <param name="settings">The step.</param>
    public DecodeSteps(AttentionEngine engine, DecodeSettings settings)
    {
        (_engine, _settings) = (engine, settings);
        _options = new AttentionOptions { Causal = Causal.BottomRight, Window = Left(settings.Window - 1) };
        int batch = settings.Lengths.Length;
        _newRows = [.. Enumerable.Repeat(1, batch)];
        (FilledKeys, FilledValues) = (Rows(4, Period, settings.KeyValueHeads), Rows(5, Period, settings.KeyValueHeads));
        Query = Rows(1, batch, settings.Heads);
        (Key, Value) = (Rows(2, batch, settings.KeyValueHeads), Rows(3, batch, settings.KeyValueHeads));
        _query = engine.CreateTensor(new ReadOnlyTensorSpan<float>(Query, [batch, settings.Heads, settings.HeadSize]));
        _key = engine.CreateTensor(new ReadOnlyTensorSpan<float>(Key, [batch, settings.KeyValueHeads, settings.HeadSize]));
        _value = engine.CreateTensor(new ReadOnlyTensorSpan<float>(Value, [batch, settings.KeyValueHeads, settings.HeadSize]));
        _output = engine.CreateTensor<float>(batch, settings.Heads, settings.HeadSize);

        double memory = engine.Device.MemoryBytes > 0 ? engine.Device.MemoryBytes : GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        double sets = Math.Ceiling(LeastBytes / (settings.RowBytes * settings.DistinctRows));
        sets = Math.Min(Math.Min(sets, MostSequences / batch), Math.Floor(memory / 2 / settings.SetBytes));
        _sets = new KeyValueSequence[(int)Math.Max(1, sets)][];
        Cache = engine.CreateCache(settings.Cache(_sets.Length));
        Fill();
    }

    /// <summary>The cache of all sets.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>Sets of sequences.</summary>
    public int Sets => _sets.Length;

    /// <summary>[period, key/value heads, head size]: the keys that all sequences have.</summary>
    public float[] FilledKeys { get; }

    /// <summary>[period, key/value heads, head size]: the values that all sequences have.</summary>
    public float[] FilledValues { get; }

    /// <summary>[sequences, heads, head size].</summary>
    public float[] Query { get; }

    /// <summary>[sequences, key/value heads, head size]: keys of the new tokens.</summary>
    public float[] Key { get; }

    /// <summary>[sequences, key/value heads, head size]: values of the new tokens.</summary>
    public float[] Value { get; }

    /// <summary>The sequences of a set.</summary>
    public IReadOnlyList<KeyValueSequence> Set(int index) => _sets[index];

    /// <summary>Takes the set whose turn it is: whatever goes round them finds none in the processor's caches.</summary>
    public int NextSet() => _last = (_last + 1) % _sets.Length;

    /// <summary>One step of the next set, and the wait for its end.</summary>
    public void Run()
    {
        KeyValueSequence[] set = _sets[NextSet()];
        using (KeyValueBatch batch = Cache.Append(set, _newRows))
        {
            _engine.ScaledDotProductAttention(
                new AttentionInputs<float> { Query = _query, Key = _key, Value = _value, Cache = batch },
                new AttentionOutputs<float> { Output = _output },
                _options);
        }

        _engine.Synchronize();
        if (_settings.Window is not null)
            return;
        for (int i = 0; i < set.Length; i++)
            set[i].Truncate(_settings.Lengths[i]);
    }

    /// <summary>What the last step has written: [sequences, heads, head size].</summary>
    public float[] Output()
    {
        var output = new float[_output.FlattenedLength];
        _output.CopyTo(new TensorSpan<float>(output, _output.Lengths));
        return output;
    }

    public void Dispose()
    {
        Cache.Dispose();
        _query.Dispose();
        _key.Dispose();
        _value.Dispose();
        _output.Dispose();
    }

    // The first set is appended, with a window of one key for speed; the others are copies. Rows that a set shares are in it once, and
    // its sequences are forks with rows of their own. Sets of windows are steps apart, so that in each step as many move rows.
    private void Fill()
    {
        int room = _settings.Capacity - (_settings.Window ?? 0) + 1;
        using KeyValueSequence? shared = _settings.SharedRows == 0 ? null : Cache.Open();
        if (shared is not null)
            Extend(shared, _settings.SharedRows);
        for (int number = 0; number < _sets.Length; number++)
        {
            using KeyValueSequence? ofSet = number == 0 ? shared?.Fork() : shared?.CopyTo(Cache);
            _sets[number] = new KeyValueSequence[_settings.Lengths.Length];
            for (int i = 0; i < _sets[number].Length; i++)
            {
                _sets[number][i] = ofSet?.Fork() ?? (number == 0 ? Cache.Open() : _sets[0][i].CopyTo(Cache));
                int ahead = _settings.Window is null ? 0 : (int)((long)number * room / _sets.Length);
                Extend(_sets[number][i], _settings.Lengths[i] + ahead);
            }
        }
    }

    private void Extend(KeyValueSequence sequence, int length)
    {
        if (sequence.Length >= length)
            return;
        int heads = _settings.KeyValueHeads;
        float[] output = new float[FilledKeys.Length];
        var options = new AttentionOptions { Causal = Causal.BottomRight, Window = Left(0) };
        while (sequence.Length < length)
        {
            int first = sequence.Length % Period;
            int rows = Math.Min(Math.Min(Period - first, length - sequence.Length), sequence.AppendableRows);
            nint[] shape = [rows, heads, _settings.HeadSize];
            Range part = (first * heads * _settings.HeadSize)..((first + rows) * heads * _settings.HeadSize);
            using KeyValueBatch batch = Cache.Append([sequence], [rows]);
            _engine.ScaledDotProductAttention(
                new AttentionInputs<float>
                {
                    Query = new ReadOnlyTensorSpan<float>(FilledKeys.AsSpan(part), shape),
                    Key = new ReadOnlyTensorSpan<float>(FilledKeys.AsSpan(part), shape),
                    Value = new ReadOnlyTensorSpan<float>(FilledValues.AsSpan(part), shape),
                    Cache = batch,
                },
                new AttentionOutputs<float> { Output = new TensorSpan<float>(output.AsSpan(part), shape) },
                options);
        }
    }

    // Numbers that every element type but float8 stores as they are, so that another library's quantised cache has the same: whole
    // numbers of a step, and the largest in each group.
    private float[] Rows(int seed, int tokens, int heads)
    {
        const int group = 32;
        (int largest, float step) = _settings.Element == KeyValueElement.Int4 ? (7, Int4Step) : (127, Int8Step);
        var random = new Random(seed);
        var values = new float[tokens * heads * _settings.HeadSize];
        for (int i = 0; i < values.Length; i++)
            values[i] = step * (i % _settings.HeadSize % group == 0 ? largest : random.Next(-largest, largest + 1));
        return values;
    }

    private static AttentionWindow? Left(int? keys) =>
        keys is null ? null : new AttentionWindow { Left = keys, Alignment = QueryAlignment.BottomRight };
}
