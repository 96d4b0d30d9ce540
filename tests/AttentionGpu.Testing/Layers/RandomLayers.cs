using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;
using AttentionGpu.Tests.Variants;

namespace AttentionGpu.Tests.Layers;

/// <summary>Layers with random combinations of all that a layer and a call can have.</summary>
internal static class RandomLayers
{
    private static readonly int[] _headSizes = [1, 2, 5, 8, 13, 16, 20];
    private static readonly int[] _lengths = [0, 1, 2, 3, 7, 11, 13, 16, 17, 23];

    /// <summary>A layer and a call. The same seed gives the same one.</summary>
    public static LayerCall Create(int seed, ElementForm element)
    {
        var random = new Random(seed);
        int headSize = Pick(random, _headSizes);
        int keyHeads = random.Next(1, 4);
        int heads = keyHeads * random.Next(1, 4);
        bool ragged = random.Next(4) == 0;
        bool cross = random.Next(2) == 0;
        var config = new MultiHeadAttentionConfig
        {
            EmbeddingSize = random.Next(2) == 0 ? heads * headSize : random.Next(1, 40),
            Heads = heads,
            KeyValueHeads = keyHeads,
            HeadSize = headSize,
            KeySize = cross && random.Next(3) == 0 ? random.Next(1, 30) : null,
            ValueSize = cross && random.Next(3) == 0 ? random.Next(1, 30) : null,
            Scale = random.Next(3) == 0 ? 0.5f * random.NextSingle() : null,
            Softcap = random.Next(3) == 0 ? 0.2f + random.NextSingle() : null,
            Window = random.Next(3) == 0 ? Window(random) : null,
            BatchFirst = random.Next(3) != 0,
            AddZeroAttention = random.Next(5) == 0,
        };
        RotaryDefinition? rotary = headSize > 1 && random.Next(2) == 0 ? Rotary(random, headSize, ragged) : null;
        var call = new LayerCall
        {
            Name = $"seed {seed}",
            Config = config,
            Weights = Weights(random, config, headSize),
            Rotary = rotary,
            Element = element,
            OnDevice = random.Next(2) == 0,
            Query = Tensor.CreateFromShape<float>([1, 1, 1]),
            Causal = (Causal)random.Next(3),
            HasLogSumExp = random.Next(2) == 0,
        };
        if (call.Weights.QueryNorm is not null || call.Weights.KeyNorm is not null)
            call = call with { Config = config with { NormEpsilon = 1e-3f } };
        return Positions(random, ragged ? Ragged(random, call, cross) : Padded(random, call, cross));
    }

    /// <summary>Weights that give scores of about 1, with a choice of biases, norms, sinks and slopes.</summary>
    private static MultiHeadAttentionWeights Weights(Random random, MultiHeadAttentionConfig config, int headSize)
    {
        int keyRows = config.KeyValueHeads!.Value * headSize;
        int rows = config.Heads * headSize;
        Tensor<float>? Vector(int length) => random.Next(2) == 0 ? Data.Random(random, length) : null;
        bool hasExtraKey = random.Next(4) == 0;
        Tensor<float>? Factors() => random.Next(3) == 0 ? Scaled(Data.Random(random, headSize), 0.5f, 1f) : null;
        return new MultiHeadAttentionWeights
        {
            Query = Matrix(random, rows, config.EmbeddingSize),
            Key = Matrix(random, keyRows, config.KeySize ?? config.EmbeddingSize),
            Value = Matrix(random, keyRows, config.ValueSize ?? config.EmbeddingSize),
            Output = Matrix(random, config.EmbeddingSize, rows),
            QueryBias = Vector(rows),
            KeyBias = Vector(keyRows),
            ValueBias = Vector(keyRows),
            OutputBias = Vector(config.EmbeddingSize),
            ExtraKey = hasExtraKey ? Data.Random(random, keyRows) : null,
            ExtraValue = hasExtraKey ? Data.Random(random, keyRows) : null,
            QueryNorm = Factors(),
            KeyNorm = Factors(),
            Sinks = random.Next(3) == 0 ? Data.Random(random, config.Heads) : null,
            AlibiSlopes = random.Next(4) == 0 ? Scaled(Data.Random(random, config.Heads), 0.1f, 0.1f) : null,
            DistanceBias = random.Next(4) == 0 ? Data.Random(random, config.Heads, 1 + 2 * random.Next(20)) : null,
        };
    }

    /// <summary>A matrix that keeps the size of the numbers of what it multiplies.</summary>
    public static Tensor<float> Matrix(Random random, int rows, int columns) =>
        Scaled(Data.Random(random, rows, columns), (float)Math.Sqrt(3.0 / columns), 0f);

    /// <summary>Numbers times a factor, and a number more.</summary>
    public static Tensor<float> Scaled(Tensor<float> tensor, float factor, float offset) =>
        Tensor.Create(Array.ConvertAll(Data.Flat(tensor), value => value * factor + offset), tensor.Lengths);

    // To the left, to the right, or to both sides.
    private static AttentionWindow Window(Random random)
    {
        int sides = random.Next(3);
        return new()
        {
            Left = sides == 1 ? null : random.Next(6),
            Right = sides == 0 ? null : random.Next(4),
            Alignment = (QueryAlignment)random.Next(2),
        };
    }

    // Ragged sequences of several lengths have kinds alone that do not depend on the length.
    private static RotaryDefinition Rotary(Random random, int headSize, bool ragged)
    {
        int size = random.Next(2) == 0 ? headSize / 2 * 2 : 2 * random.Next(1, headSize / 2 + 1);
        var scaling = (ScalingForm)random.Next(ragged ? (int)ScalingForm.Dynamic : 1 + (int)ScalingForm.LongRope);
        double[] Divisors() => [.. Enumerable.Range(0, size / 2).Select(_ => 0.5 + 8.0 * random.NextDouble())];
        return new(Pick(random, 100.0, 10_000.0, 500_000.0), size)
        {
            Interleaved = random.Next(2) == 0,
            Scaling = scaling == ScalingForm.Dynamic && size == 2 ? ScalingForm.None : scaling,
            Factor = Pick(random, 1.0, 2.0, 8.0, 32.0),
            Low = 1.0,
            High = 4.0,
            OriginalContext = Pick(random, 16, 64, 4096),
            Magnitude = random.Next(3) == 0 ? 0.9 : null,
            Truncate = random.Next(2) == 0,
            ShortDivisors = Divisors(),
            LongDivisors = Divisors(),
        };
    }

    private static LayerCall Padded(Random random, LayerCall call, bool cross)
    {
        MultiHeadAttentionConfig config = call.Config;
        int batch = random.Next(1, 4);
        bool leavesOutBatch = batch == 1 && random.Next(2) == 0;
        int queries = Pick(random, _lengths);
        int keys = cross ? Pick(random, _lengths) : queries;
        bool weights = random.Next(3) == 0;
        return WithInputs(random, call, cross, [batch, queries], [batch, keys]) with
        {
            Mask = random.Next(3) == 0 ? Data.RandomBoolean(random, 0.7, MaskLengths(random, batch, config.Heads, queries, keys)) : null,
            Bias = random.Next(3) == 0 ? Bias(random, MaskLengths(random, batch, config.Heads, queries, keys)) : null,
            Padding = random.Next(3) == 0 ? Data.RandomBoolean(random, 0.2, batch, keys) : null,
            PaddingBias = random.Next(4) == 0 ? Bias(random, [batch, keys]) : null,
            LeavesOutBatch = leavesOutBatch,
            KeyLengths = random.Next(3) == 0 ? [.. Enumerable.Range(0, batch).Select(_ => random.Next(keys + 1))] : [],
            HasWeights = weights,
            AveragesWeights = weights && random.Next(2) == 0,
        };
    }

    private static LayerCall Ragged(Random random, LayerCall call, bool cross)
    {
        int sequences = random.Next(1, 5);
        int[] starts = Starts(random, sequences);
        int[] keyStarts = cross ? Starts(random, sequences) : [];

        // Tokens behind the last sequence, and keys that a sequence does not use.
        int rest = random.Next(3) == 0 ? random.Next(7) : 0;
        int[] used =
        [
            .. (cross ? keyStarts : starts).Zip((cross ? keyStarts : starts).Skip(1), (start, end) => random.Next(end - start + 1)),
        ];
        return WithInputs(random, call, cross, [starts[^1] + rest], [(cross ? keyStarts : starts)[^1] + rest]) with
        {
            Starts = starts,
            KeyStarts = keyStarts,
            KeyLengths = random.Next(3) == 0 ? used : [],
        };
    }

    private static int[] Starts(Random random, int sequences)
    {
        var starts = new int[sequences + 1];
        for (int i = 0; i < sequences; i++)
            starts[i + 1] = starts[i] + random.Next(4) * random.Next(6);
        return starts;
    }

    private static LayerCall WithInputs(Random random, LayerCall call, bool cross, nint[] queries, nint[] keys)
    {
        MultiHeadAttentionConfig config = call.Config;
        int keySize = config.KeySize ?? config.EmbeddingSize;
        int valueSize = config.ValueSize ?? config.EmbeddingSize;
        return call with
        {
            Query = Data.Random(random, [.. queries, config.EmbeddingSize]),
            Key = cross ? Data.Random(random, [.. keys, keySize]) : null,
            Value = cross && (keySize != valueSize || random.Next(2) == 0) ? Data.Random(random, [.. keys, valueSize]) : null,
        };
    }

    private static nint[] MaskLengths(Random random, int batch, int heads, int queries, int keys)
    {
        nint[] full = [batch, heads, queries, keys];
        nint[] broadcast = [.. full.Select(length => random.Next(4) == 0 ? 1 : length)];
        if (random.Next(4) == 0)
            broadcast[^1] = random.Next(keys + 1);
        return broadcast[random.Next(4)..];
    }

    private static Tensor<float> Bias(Random random, nint[] lengths)
    {
        Tensor<float> bias = Data.Random(random, lengths);
        float[] values = Array.ConvertAll(Data.Flat(bias), value => random.Next(12) == 0 ? float.NegativeInfinity : value);
        return Tensor.Create(values, lengths);
    }

    private static LayerCall Positions(Random random, LayerCall call)
    {
        if (call.Rotary is null || random.Next(2) == 0)
            return call;
        bool forKeys = random.Next(2) == 0 || call.KeyLength != call.QueryLength;
        return call with
        {
            QueryPositions = Numbers(random, call.Batch, call.QueryLength),
            KeyPositions = forKeys ? Numbers(random, call.Batch, call.KeyLength) : null,
        };
    }

    private static Tensor<int> Numbers(Random random, int batch, int length)
    {
        int limit = Pick(random, 4, 300, 5000);
        return Tensor.Create([.. Enumerable.Range(0, batch * length).Select(_ => random.Next(limit))], [batch, length]);
    }

    private static T Pick<T>(Random random, params ReadOnlySpan<T> choices) => choices[random.Next(choices.Length)];
}
