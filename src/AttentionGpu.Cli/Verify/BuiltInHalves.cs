using System.Diagnostics;
using System.Numerics.Tensors;

namespace AttentionGpu.Cli.Verify;

/// <summary>
/// Attention of 16-bit elements, for which CUDA devices have kernels of their own: every range of keys with heads of many sizes, by turns in
/// either element type, and every variant with two of them. Queries are more than a group's, keys more than a block's, and no multiple.
/// </summary>
internal static class BuiltInHalves
{
    private const int Seed = 2023;
    private const int Batch = 2;
    private const int Heads = 2;
    private const int KeyValueHeads = 1;
    private const int Queries = 131;
    private const int Keys = 101;
    private const int Reach = 20;

    private static readonly int[] _queryDocuments = [.. Enumerable.Range(0, Batch * Queries).Select(i => i / 50)];
    private static readonly int[] _keyDocuments = [.. Enumerable.Range(0, Batch * Keys).Select(i => i / 38)];

    // Of the smallest and the largest tile, between them, and of rows that start anywhere.
    private static readonly int[] _sizes = [8, 61, 64, 80, 128, 192, 256];

    private static readonly (string Name, AttentionOptions Options)[] _ranges =
    [
        ("", new AttentionOptions()), (", causal", new AttentionOptions { Causal = Causal.BottomRight }),
        (", window", new AttentionOptions
        {
            Causal = Causal.TopLeft,
            Window = new AttentionWindow { Left = 40, Alignment = QueryAlignment.TopLeft },
        }),
    ];

    private static readonly (string Name, Change Change, AttentionOptions Options)[] _variants =
    [
        ("softcap", new NoChange(), new AttentionOptions { Softcap = 2f }),
        ("softcap far above the scores", new NoChange(), new AttentionOptions { Softcap = 1e6f }),
        ("scale below 0", new NoChange(), new AttentionOptions { Scale = -0.2f }),
        ("ALiBi", new Alibi(), new AttentionOptions { Causal = Causal.TopLeft }),
        ("bias by distance", new DistanceBias(), new AttentionOptions()),
        ("additive mask", new AdditiveMask([Queries, Keys]), new AttentionOptions { Causal = Causal.TopLeft }),
        ("additive mask of keys", new AdditiveMask([Batch, 1, 1, Keys]), new AttentionOptions()),
        ("additive mask of queries", new AdditiveMask([Heads, Queries, 1]), new AttentionOptions()),
        ("boolean mask", new BooleanMask([Heads, Queries, Keys]), new AttentionOptions()),
        ("boolean mask of queries", new BooleanMask([Queries, 1]), new AttentionOptions()),
        ("documents", new Documents(), new AttentionOptions()),
        ("documents, scale below 0", new Documents(), new AttentionOptions { Scale = -0.2f }),
        ("boolean mask, scale of 0", new BooleanMask([Queries, Keys]), new AttentionOptions { Scale = 0f }),
        ("key padding", new KeyPadding(), new AttentionOptions()),
        ("key padding, added", new AddedKeyPadding(), new AttentionOptions()),
        ("sinks", new Sinks(), new AttentionOptions { Causal = Causal.TopLeft }),
        ("key lengths", new KeyLengths(), new AttentionOptions { Causal = Causal.BottomRight }),
        ("prefix", new Prefix(), new AttentionOptions { Causal = Causal.TopLeft }),
    ];

    /// <summary>Why devices that compile the general kernels for them, for minutes, leave them out.</summary>
    public const string SkipReason = "kernels of 16 bits of their own are on CUDA alone; the cases 'float16' and 'bfloat16' have the others";

    /// <summary>All cases. Those of variants in float16 ask for the log-sum-exp.</summary>
    public static IReadOnlyList<VerifyCase> All { get; } =
    [
        .. _sizes.SelectMany(_ => _ranges, (size, range) => (Size: size, Range: range)).Select((one, i) => i % 2 == 0
            ? Float16($"head size {one.Size}{one.Range.Name}", one.Size, new NoChange(), one.Range.Options, hasLogSumExp: false)
            : BFloat($"head size {one.Size}{one.Range.Name}", one.Size, new NoChange(), one.Range.Options, hasLogSumExp: false)),
        .. _variants.Select(one => Float16($"{one.Name}, head size 64", 64, one.Change, one.Options, hasLogSumExp: true)),
        .. _variants.Select(one => BFloat($"{one.Name}, head size 120", 120, one.Change, one.Options, hasLogSumExp: false)),
    ];

    private static VerifyCase Float16(string name, int size, Change change, AttentionOptions options, bool hasLogSumExp) => Case<Half>(
        $"float16, {name}", value => (Half)value, value => (float)value, VerifyOutcome.Float16Tolerance, size, change, options, hasLogSumExp);

    private static VerifyCase BFloat(string name, int size, Change change, AttentionOptions options, bool hasLogSumExp) => Case<BFloat16>(
        $"bfloat16, {name}", value => (BFloat16)value, value => value, VerifyOutcome.BFloat16Tolerance, size, change, options, hasLogSumExp);

    private static VerifyCase Case<T>(
        string name, Converter<float, T> store, Converter<T, float> load, double tolerance, int size, Change change,
        AttentionOptions options, bool hasLogSumExp)
        where T : unmanaged => new(name, engine =>
        {
            using var reference = new AttentionEngine("reference");
            (float[][] expected, _) = Run(reference, store, load, size, change, options, hasLogSumExp);
            (float[][] actual, double milliseconds) = Run(engine, store, load, size, change, options, hasLogSumExp);
            return VerifyOutcome.CompareEach(name, actual, expected, milliseconds, tolerance);
        });

    /// <summary>Runs the case into poisoned outputs, which are returned.</summary>
    private static (float[][] Outputs, double Milliseconds) Run<T>(
        AttentionEngine engine, Converter<float, T> store, Converter<T, float> load, int size, Change change, AttentionOptions options,
        bool hasLogSumExp)
        where T : unmanaged
    {
        var random = new Random(Seed + size);
        AttentionInputs<T> inputs = change.Apply(
            new AttentionInputs<T>
            {
                Query = Draw(random, store, Batch, Heads, Queries, size),
                Key = Draw(random, store, Batch, KeyValueHeads, Keys, size),
                Value = Draw(random, store, Batch, KeyValueHeads, Keys, size),
            },
            random);
        Tensor<T> output = Draw(random, _ => store(float.NaN), Batch, Heads, Queries, size);
        Tensor<float>? logSumExp = hasLogSumExp ? Draw(random, _ => float.NaN, Batch, Heads, Queries) : null;
        long start = Stopwatch.GetTimestamp();
        engine.ScaledDotProductAttention(inputs, new AttentionOutputs<T> { Output = output, LogSumExp = logSumExp }, options);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        return (logSumExp is null ? [Flatten(output, load)] : [Flatten(output, load), Flatten(logSumExp, value => value)], milliseconds);
    }

    private static Tensor<T> Draw<T>(Random random, Converter<float, T> store, params nint[] lengths)
    {
        var values = new T[lengths.Aggregate((nint)1, (product, length) => product * length)];
        for (int i = 0; i < values.Length; i++)
            values[i] = store((float)(2.0 * random.NextDouble() - 1.0));
        return Tensor.Create(values, lengths);
    }

    private static float[] Flatten<T>(Tensor<T> tensor, Converter<T, float> load)
    {
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return Array.ConvertAll(values, load);
    }

    // What a case adds to its inputs.
    private abstract class Change
    {
        public abstract AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random)
            where T : unmanaged;

        protected static Tensor<float> Floats(Random random, params nint[] lengths) => Draw(random, value => value, lengths);
    }

    private sealed class NoChange : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) => inputs;
    }

    private sealed class Alibi : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) =>
            inputs with { AlibiSlopes = Floats(random, Batch, Heads) };
    }

    private sealed class DistanceBias : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) =>
            inputs with { DistanceBias = Floats(random, Heads, 2 * Reach + 1) };
    }

    private sealed class AdditiveMask(nint[] lengths) : Change
    {
        // One of nine hides its key.
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) => inputs with
        {
            Mask = Draw(random, value => random.Next(9) == 0 ? float.NegativeInfinity : value, lengths),
        };
    }

    private sealed class BooleanMask(nint[] lengths) : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random)
        {
            bool[] shows = new bool[lengths.Aggregate((nint)1, (product, length) => product * length)];
            for (int i = 0; i < shows.Length; i++)
                shows[i] = random.Next(3) > 0;
            return inputs with { Mask = new AttentionMask(new ReadOnlyTensorSpan<bool>(shows, lengths)) };
        }
    }

    private sealed class Documents : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) => inputs with
        {
            QueryDocuments = new ReadOnlyTensorSpan<int>(_queryDocuments, [Batch, Queries]),
            KeyDocuments = new ReadOnlyTensorSpan<int>(_keyDocuments, [Batch, Keys]),
        };
    }

    private sealed class KeyPadding : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random)
        {
            bool[] isPadding = [.. Enumerable.Range(0, Batch * Keys).Select(i => i % Keys > Keys - 30 || i % 7 == 0)];
            return inputs with { KeyPaddingMask = Tensor.Create(isPadding, [Batch, Keys]) };
        }
    }

    private sealed class AddedKeyPadding : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) =>
            inputs with { KeyPaddingBias = Floats(random, Batch, Keys), Mask = Floats(random, Queries, Keys) };
    }

    private sealed class Sinks : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) =>
            inputs with { Sinks = Floats(random, Heads) };
    }

    private sealed class KeyLengths : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) => inputs with { KeyLengths = (int[])[90, 71] };
    }

    private sealed class Prefix : Change
    {
        public override AttentionInputs<T> Apply<T>(AttentionInputs<T> inputs, Random random) => inputs with { PrefixLengths = (int[])[0, 60] };
    }
}
