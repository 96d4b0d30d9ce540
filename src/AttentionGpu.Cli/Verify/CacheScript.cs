using System.Diagnostics;
using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// Operations on two sequences of a cache, done on a device and on the float64 reference. The rows that the device has stored may differ
/// from the reference's in few elements, by a step of their type: a rotated key is rounded before it is stored. So attention is compared
/// with the reference's over a copy of the device's own rows.
/// </summary>
internal sealed class CacheScript : IDisposable
{
    /// <summary>Rows of the longer sequence at the end.</summary>
    public const int Length = 41;

    /// <summary>Rows that are appended first.</summary>
    public const int Chunk = 21;

    private const int Seed = 2024;
    private const int Heads = 4;
    private const int RotarySize = 32;

    // Of the elements of a step's keys or values, one in so many may be a step off.
    private const int ExactElements = 100;

    private readonly AttentionEngine _engine;
    private readonly AttentionEngine _reference = new("reference");
    private readonly KeyValueCacheOptions _options;
    private readonly KeyValueCache _cache;
    private readonly KeyValueCache _expectedCache;
    private readonly KeyValueCache _copies;
    private readonly List<KeyValueSequence> _sequences;
    private readonly List<KeyValueSequence> _expectedSequences;
    private readonly Random _random = new(Seed);
    private readonly Tensor<float> _cosine;
    private readonly Tensor<float> _sine;
    private readonly List<float[]> _actual = [];
    private readonly List<float[]> _expected = [];
    private TimeSpan _elapsed;

    /// <param name="engine">The engine of the device.</param>
    /// <param name="options">The cache, of two sequences at least.</param>
    public CacheScript(AttentionEngine engine, KeyValueCacheOptions options)
    {
        (_engine, _options) = (engine, options);
        const int pairs = RotarySize / 2;
        float[] angles = [.. Enumerable.Range(0, Length * pairs).Select(i => i / pairs * MathF.Pow(0.7f, i % pairs))];
        nint[] lengths = [Length, pairs];
        _cosine = Tensor.Create(Array.ConvertAll(angles, MathF.Cos), lengths);
        _sine = Tensor.Create(Array.ConvertAll(angles, MathF.Sin), lengths);
        _cache = engine.CreateCache(options);
        _expectedCache = _reference.CreateCache(options);
        _copies = _reference.CreateCache(options);
        _sequences = [_cache.Open()];
        _expectedSequences = [_expectedCache.Open()];
    }

    private int ValueSize => _options.ValueHeadSize ?? _options.HeadSize;

    /// <summary>Runs the operations, and compares outputs, sums and stored rows after each step.</summary>
    public VerifyOutcome Run(string name)
    {
        string? wrongRows = Step(Chunk);
        _sequences.Add(_sequences[0].Fork());
        _expectedSequences.Add(_expectedSequences[0].Fork());
        wrongRows ??= Step(1, 3);
        _sequences[1].Truncate(Chunk + 1);
        _expectedSequences[1].Truncate(Chunk + 1);
        wrongRows = wrongRows ?? Step(2, 1) ?? Step(16, 1) ?? Step(1, 2);
        return wrongRows is null
            ? VerifyOutcome.CompareEach(name, [.. _actual], [.. _expected], _elapsed.TotalMilliseconds, VerifyOutcome.Tolerance)
            : new VerifyOutcome(name, VerifyStatus.Failed, null, _elapsed.TotalMilliseconds, wrongRows);
    }

    public void Dispose()
    {
        _cache.Dispose();
        _expectedCache.Dispose();
        _copies.Dispose();
        _reference.Dispose();
    }

    // Appends rows to the sequences. Returns what is wrong with those that are stored then; null for nothing.
    private string? Step(params int[] lengths)
    {
        int tokens = lengths.Sum();
        Tensor<float> query = Draw(tokens, Heads, _options.HeadSize);
        Tensor<float> key = Draw(tokens, _options.KeyValueHeads, _options.HeadSize);
        Tensor<float> value = Draw(tokens, _options.KeyValueHeads, ValueSize);
        long start = Stopwatch.GetTimestamp();
        using (KeyValueBatch batch = _cache.Append([.. _sequences], lengths))
            _actual.AddRange(Attend(_engine, batch, query, key, value));
        _elapsed += Stopwatch.GetElapsedTime(start);
        using (KeyValueBatch batch = _expectedCache.Append([.. _expectedSequences], lengths))
            Attend(_reference, batch, query, key, value);

        KeyValueSequence[] copies = [.. _sequences.Select(sequence => sequence.CopyTo(_copies))];
        using (KeyValueBatch batch = _copies.Read(copies, lengths))
            _expected.AddRange(Attend(_reference, batch, query, key, value));
        foreach (KeyValueSequence copy in copies)
            copy.Dispose();
        return _sequences.Zip(_expectedSequences, WrongRows).FirstOrDefault(wrong => wrong is not null);
    }

    private float[][] Attend(AttentionEngine engine, KeyValueBatch batch, Tensor<float> query, Tensor<float> key, Tensor<float> value)
    {
        float[] output = Poisoned(batch.Tokens * Heads * ValueSize);
        float[] logSumExp = Poisoned(batch.Tokens * Heads);
        engine.ScaledDotProductAttention(
            new AttentionInputs<float>
            {
                Query = query,
                Key = batch.Appends ? key : default(TensorInput<float>),
                Value = batch.Appends && !_options.ValuesInKeys ? value : default(TensorInput<float>),
                Cache = batch,
                RotaryCosine = _cosine,
                RotarySine = _sine,
            },
            new AttentionOutputs<float>
            {
                Output = new TensorSpan<float>(output, [batch.Tokens, Heads, ValueSize]),
                LogSumExp = new TensorSpan<float>(logSumExp, [Heads, batch.Tokens]),
            },
            new AttentionOptions
            {
                Causal = Causal.BottomRight,
                Window = _options.Window is int window
                    ? new AttentionWindow { Left = window - 1, Alignment = QueryAlignment.BottomRight }
                    : null,
            });
        return [output, logSumExp];
    }

    private string? WrongRows(KeyValueSequence actual, KeyValueSequence expected)
    {
        if (actual.ResidentLength != expected.ResidentLength)
            return $"{actual.ResidentLength} rows are stored, not {expected.ResidentLength}";
        nint[] Shape(int size) => [_options.KeyValueHeads, actual.ResidentLength, size];
        Tensor<float> Rows(int size) => Tensor.Create(Poisoned(_options.KeyValueHeads * actual.ResidentLength * size), Shape(size));
        (Tensor<float> keys, Tensor<float> expectedKeys) = (Rows(_options.HeadSize), Rows(_options.HeadSize));
        (Tensor<float> values, Tensor<float> expectedValues) = (Rows(ValueSize), Rows(ValueSize));
        actual.CopyTo(0, keys, values);
        expected.CopyTo(0, expectedKeys, expectedValues);
        return WrongRows("keys", keys, expectedKeys, _options.HeadSize) ?? WrongRows("values", values, expectedValues, ValueSize);
    }

    private string? WrongRows(string name, Tensor<float> actual, Tensor<float> expected, int size)
    {
        var found = new float[actual.FlattenedLength];
        var wanted = new float[expected.FlattenedLength];
        actual.FlattenTo(found);
        expected.FlattenTo(wanted);
        int apart = 0;
        for (int first = 0; first < found.Length; first += size)
        {
            float largest = wanted.AsSpan(first, size).ToArray().Max(MathF.Abs);
            for (int i = first; i < first + size; i++)
            {
                float distance = MathF.Abs(found[i] - wanted[i]);
                if (!(distance <= StepOf(_options.Element, largest, wanted[i])))
                    return $"a row of stored {name} differs by more than a step of its type: {found[i]}, expected {wanted[i]}";
                if (distance > 1e-6f * (1 + largest))
                    apart++;
            }
        }

        return apart * ExactElements > found.Length ? $"{apart} of {found.Length} elements of stored {name} differ" : null;
    }

    /// <summary>
    /// The distance of two neighbours among the numbers that a row can have near one, and a little more, since scales differ in their
    /// last bits.
    /// </summary>
    private static float StepOf(KeyValueElement element, float largest, float value) => element switch
    {
        KeyValueElement.Float32 => 2e-6f * (1 + largest),
        KeyValueElement.Float16 => MathF.Abs(value) / 1024 + 1e-6f,
        KeyValueElement.BFloat16 => MathF.Abs(value) / 128 + 1e-6f,
        KeyValueElement.Int8 => 1.01f * largest / 127,
        KeyValueElement.Int4 => 1.01f * largest / 7,
        _ => MathF.Abs(value) / 7.9f + largest / 448 / 500,
    };

    // Not near 0: the first query's output is the first value, and zeros there are for queries that see no key.
    private Tensor<float> Draw(params nint[] lengths)
    {
        var values = new float[lengths.Aggregate((nint)1, (product, length) => product * length)];
        for (int i = 0; i < values.Length; i++)
            values[i] = (_random.Next(2) == 0 ? -1f : 1f) * (0.25f + (0.75f * _random.NextSingle()));
        return Tensor.Create(values, lengths);
    }

    private static float[] Poisoned(int count)
    {
        var values = new float[count];
        Array.Fill(values, float.NaN);
        return values;
    }
}
