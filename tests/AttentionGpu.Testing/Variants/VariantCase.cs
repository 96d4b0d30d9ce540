using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>A random problem of a kind. Tensors are [batch, heads, length, size], or [tokens, heads, size] where they are ragged.</summary>
internal sealed record VariantCase
{
    // Two roundings of a float, relative to it.
    private const double FloatRounding = 1.0 / (1 << 23);

    public required VariantKind Kind { get; init; }

    public required AttentionOptions Options { get; init; }

    public required int Batch { get; init; }

    public required int Heads { get; init; }

    public required int KeyValueHeads { get; init; }

    public required int HeadSize { get; init; }

    public required int ValueSize { get; init; }

    /// <summary>Queries of each batch entry; of all ragged sequences together.</summary>
    public required int QueryLength { get; init; }

    /// <summary>New keys of each batch entry; of all ragged sequences together.</summary>
    public required int KeyLength { get; init; }

    public required Tensor<float> Query { get; init; }

    public required Tensor<float> Key { get; init; }

    public required Tensor<float> Value { get; init; }

    public Tensor<float>? PastKey { get; init; }

    public Tensor<float>? PastValue { get; init; }

    public Tensor<bool>? Mask { get; init; }

    public Tensor<float>? Bias { get; init; }

    /// <summary>[batch, key length, the past included].</summary>
    public Tensor<bool>? Padding { get; init; }

    /// <summary>The same, added.</summary>
    public Tensor<float>? PaddingBias { get; init; }

    /// <summary>[key/value heads, head size].</summary>
    public Tensor<float>? ExtraKey { get; init; }

    /// <summary>[key/value heads, value head size].</summary>
    public Tensor<float>? ExtraValue { get; init; }

    public int[] KeyLengths { get; init; } = [];

    public int[] PrefixLengths { get; init; } = [];

    public int[] QueryStarts { get; init; } = [];

    public int[] KeyStarts { get; init; } = [];

    public Tensor<int>? QueryDocuments { get; init; }

    public Tensor<int>? KeyDocuments { get; init; }

    public Tensor<float>? Slopes { get; init; }

    public Tensor<float>? DistanceBias { get; init; }

    public Tensor<float>? Sinks { get; init; }

    public Tensor<float>? QueryNorm { get; init; }

    public Tensor<float>? KeyNorm { get; init; }

    public Tensor<float>? Cosine { get; init; }

    public Tensor<float>? Sine { get; init; }

    public Tensor<int>? QueryPositions { get; init; }

    public Tensor<int>? KeyPositions { get; init; }

    public int PastLength => (int)(PastKey?.Lengths[2] ?? 0);

    public int TotalKeys => PastLength + KeyLength;

    public bool IsRagged => QueryStarts.Length > 0;

    /// <summary>Columns of the scores.</summary>
    public int ScoreColumns => TotalKeys + (ExtraKey is null ? 0 : 1) + (Options.AddZeroAttention ? 1 : 0);

    /// <summary>
    /// The largest difference that passes, relative to the largest expected value: the element type's, and that of a score as large as the
    /// largest
    /// ALiBi bias, whose rounding changes a weight by as much.
    /// </summary>
    public double Tolerance =>
        (Kind.Element switch
        {
            ElementForm.F32 => Close.Tolerance,
            ElementForm.F16 => 2e-3,
            _ => 1e-2,
        })
        + (Slopes is null ? 0.0 : Data.Flat(Slopes).Max(Math.Abs) * TotalKeys * FloatRounding);

    /// <summary>The largest value that takes part: an output is an average of values.</summary>
    public double LargestValue => Data.Flat(Value).Concat(ExtraValue is null ? [] : Data.Flat(ExtraValue))
        .Where(float.IsFinite).Select(value => Math.Abs((double)value)).DefaultIfEmpty(0.0).Max();

    /// <summary>
    /// A difference that always passes: a tenth of the tolerance, relative to the terms that a result is the sum of (terms may cancel,
    /// their
    /// rounding stays), and a step of the smallest numbers of the element type, which have fewer digits.
    /// </summary>
    public double Smallest(double largestTerm) =>
        Math.Max(0.1 * Tolerance * largestTerm, Kind.Element == ElementForm.F16 ? (double)Half.Epsilon : Close.SmallestNormal);

    /// <summary>A problem of a kind with random sizes and numbers. Behind the key lengths there is NaN, which must not be read.</summary>
    public static VariantCase Create(VariantKind kind, Random random, int maxLength) =>
        Create(kind, random, VariantSizes.Draw(kind, random, maxLength));

    /// <summary>The same with sizes of the caller's choice.</summary>
    public static VariantCase Create(VariantKind kind, Random random, VariantSizes sizes)
    {
        (int batch, int keyValueHeads, int heads) = (sizes.Batch, sizes.KeyValueHeads, sizes.KeyValueHeads * sizes.Group);
        (int headSize, int valueSize) = (sizes.HeadSize, sizes.ValueSize);
        bool ragged = kind.IsRagged;
        int rest = kind.Sequences == SequenceForm.RaggedEnd ? random.Next(1, 9) : 0;
        int[] queryStarts = ragged ? Starts(sizes.QueryLengths) : [];
        int[] keyStarts = ragged ? Starts(sizes.KeyLengths) : [];
        int queryLength = ragged ? queryStarts[^1] + rest : sizes.QueryLengths[0];
        int keyLength = ragged ? keyStarts[^1] + rest / 2 : sizes.KeyLengths[0];
        int past = kind.Sequences == SequenceForm.Past ? sizes.PastLength : 0;
        int total = past + keyLength;
        int maxLength = Math.Max(2, sizes.KeyLengths.Max());
        Tensor<float> Rows(int rowHeads, int length, int size) => Round(
            kind, ragged ? Data.Random(random, length, rowHeads, size) : Data.Random(random, batch, rowHeads, length, size));
        nint[] MaskLengths(int keys) =>
            [
                .. new nint[] { batch, random.Next(2) == 0 ? 1 : heads, random.Next(3) == 0 ? 1 : queryLength, keys }
                    .TakeLast(random.Next(1, 5)),
            ];
        bool hasShortMask = kind.Mask is VariantMask.ShortBoolean or VariantMask.ShortAdditive or VariantMask.ShortBoth;
        nint[] maskLengths = MaskLengths(hasShortMask ? random.Next(total) : total);
        nint[] biasLengths = kind.Mask == VariantMask.ShortBoth ? MaskLengths(random.Next(total)) : maskLengths;
        int rotarySize = kind.Rotary == RotaryForm.InterleavedPart ? 2 * random.Next(1, headSize / 2 + 1) : headSize;
        bool hasOwnTables = kind.Rotary is RotaryForm.OwnTables or RotaryForm.OwnTablesAndPositions;
        bool hasPositions = kind.Rotary is RotaryForm.GivenPositions or RotaryForm.OwnTablesAndPositions;
        int tableRows = kind.Rotary == RotaryForm.OwnTables ? Math.Max(queryLength, keyLength) : Math.Max(total, queryLength + past) + 9;
        Tensor<float> angles = hasOwnTables
            ? Data.Random(random, ragged || random.Next(4) == 0 ? 1 : batch, tableRows, rotarySize / 2)
            : Data.Random(random, tableRows, rotarySize / 2);
        Tensor<float>? Table(Func<float, float> function) =>
            kind.Rotary == RotaryForm.None ? null : Tensor.Create(Array.ConvertAll(Data.Flat(angles), angle => function(3f * angle)), angles.Lengths);
        Tensor<int> Numbers(int length, int most) =>
            Tensor.Create(Enumerable.Range(0, (ragged ? 1 : batch) * length).Select(_ => random.Next(most)).ToArray(), [ragged ? 1 : batch, length]);
        int[] keyLengths = kind.Sequences switch
        {
            SequenceForm.KeyLengths => [.. Enumerable.Range(0, batch).Select(_ => random.Next(keyLength + 1))],
            SequenceForm.RaggedKeyLengths => Array.ConvertAll(sizes.KeyLengths, length => random.Next(length + 1)),
            _ => [],
        };

        // Rows that are not to be read.
        Tensor<float> Poisoned(Tensor<float> rows, int[] starts)
        {
            for (int i = 0; i < keyLengths.Length && !ragged; i++)
                rows.AsTensorSpan()[i..(i + 1), .., keyLengths[i].., ..].Fill(float.NaN);
            for (int i = 0; i < keyLengths.Length && ragged; i++)
                rows.AsTensorSpan()[(starts[i] + keyLengths[i])..starts[i + 1], .., ..].Fill(float.NaN);
            if (ragged)
                rows.AsTensorSpan()[starts[^1].., .., ..].Fill(float.NaN);
            return rows;
        }

        Tensor<float> queries = Rows(heads, queryLength, headSize);
        if (ragged)
            queries.AsTensorSpan()[queryStarts[^1].., .., ..].Fill(float.NaN);

        return new VariantCase
        {
            Kind = kind,
            Options = new AttentionOptions
            {
                Causal = kind.Causal,
                Scale = random.Next(4) switch
                {
                    0 or 1 => null,
                    2 => 0.4f,
                    _ => -0.6f,
                },
                Softcap = kind.Softcap ? 0.5f + 4f * random.NextSingle() : null,
                Window = Window(kind, random, maxLength),
                RotaryInterleaved = kind.Rotary == RotaryForm.InterleavedPart,
                NormEpsilon = kind.Norm == NormForm.None ? AttentionOptions.DefaultNormEpsilon : 1e-3f,
                AddZeroAttention = kind.Extra is ExtraForm.Zero or ExtraForm.Both,
            },
            Batch = ragged ? 1 : batch,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            HeadSize = headSize,
            ValueSize = valueSize,
            QueryLength = queryLength,
            KeyLength = keyLength,
            Query = queries,
            Key = Poisoned(Rows(keyValueHeads, keyLength, headSize), keyStarts),
            Value = Poisoned(Rows(keyValueHeads, keyLength, valueSize), keyStarts),
            PastKey = past > 0 ? Rows(keyValueHeads, past, headSize) : null,
            PastValue = past > 0 ? Rows(keyValueHeads, past, valueSize) : null,
            Mask = kind.Mask is VariantMask.Boolean or VariantMask.Both or VariantMask.ShortBoolean or VariantMask.ShortBoth
                ? Data.RandomBoolean(random, 0.6, maskLengths)
                : null,
            Bias = kind.Mask switch
            {
                VariantMask.Additive or VariantMask.Both or VariantMask.ShortAdditive or VariantMask.ShortBoth =>
                    Data.Random(random, biasLengths),
                VariantMask.Infinite => Tensor.Create(
                    Array.ConvertAll(Data.Flat(Data.Random(random, maskLengths)), value => value < 0.4f ? float.NegativeInfinity : value), maskLengths),
                _ => null,
            },
            Padding = kind.Padding == PaddingForm.Boolean ? Data.RandomBoolean(random, 0.3, batch, total) : null,
            PaddingBias = kind.Padding == PaddingForm.Additive
                ? Tensor.Create(
                    Array.ConvertAll(Data.Flat(Data.Random(random, batch, total)), value => value < -0.5f ? float.NegativeInfinity : value),
                    [batch, total])
                : null,
            ExtraKey = kind.Extra is ExtraForm.Key or ExtraForm.Both ? Round(kind, Data.Random(random, keyValueHeads, headSize)) : null,
            ExtraValue = kind.Extra is ExtraForm.Key or ExtraForm.Both ? Round(kind, Data.Random(random, keyValueHeads, valueSize)) : null,
            KeyLengths = keyLengths,
            PrefixLengths = kind.Prefix ? [.. Enumerable.Range(0, batch).Select(_ => random.Next(total + 3))] : [],
            QueryStarts = queryStarts,
            KeyStarts = keyStarts,
            QueryDocuments = kind.Documents ? Sorted(Numbers(queryLength, 4)) : null,
            KeyDocuments = kind.Documents ? Sorted(Numbers(total, 4)) : null,
            Slopes = !kind.Alibi ? null
                : kind.AlibiOfEntries ? Data.Random(random, ragged ? sizes.QueryLengths.Length : batch, heads)
                : Data.Random(random, heads),
            DistanceBias = kind.DistanceBias ? Data.Random(random, heads, 1 + 2 * random.Next(maxLength + 2)) : null,
            Sinks = kind.Sinks ? Data.Random(random, heads) : null,
            QueryNorm = kind.Norm != NormForm.None ? Data.Random(random, headSize) : null,
            KeyNorm = kind.Norm == NormForm.Both ? Data.Random(random, headSize) : null,
            Cosine = Table(MathF.Cos),
            Sine = Table(MathF.Sin),
            QueryPositions = hasPositions ? Numbers(queryLength, tableRows) : null,
            KeyPositions = hasPositions ? Numbers(keyLength, tableRows) : null,
        };
    }

    private static AttentionWindow? Window(VariantKind kind, Random random, int maxLength) => kind.Window == WindowForm.None ? null : new AttentionWindow
    {
        Left = kind.Window == WindowForm.Right ? null : random.Next(maxLength / 2),
        Right = kind.Window == WindowForm.Left ? null : random.Next(maxLength / 2),
        Alignment = kind.Window == WindowForm.BothAtTheEnd ? QueryAlignment.BottomRight : QueryAlignment.TopLeft,
    };

    private static int[] Starts(int[] lengths)
    {
        var starts = new int[lengths.Length + 1];
        for (int i = 0; i < lengths.Length; i++)
            starts[i + 1] = starts[i] + lengths[i];
        return starts;
    }

    // Documents lie one after another, as they are ragged.
    private static Tensor<int> Sorted(Tensor<int> numbers)
    {
        int[] values = Data.Flat(numbers);
        int length = (int)numbers.Lengths[1];
        for (int row = 0; row < numbers.Lengths[0]; row++)
            Array.Sort(values, row * length, length);
        return Tensor.Create(values, numbers.Lengths);
    }

    // As the element type stores it.
    private static Tensor<float> Round(VariantKind kind, Tensor<float> tensor) => kind.Element switch
    {
        ElementForm.F32 => tensor,
        ElementForm.F16 => Tensor.Create(Array.ConvertAll(Data.Flat(tensor), value => (float)(Half)value), tensor.Lengths),
        _ => Tensor.Create(Array.ConvertAll(Data.Flat(tensor), value => (float)(BFloat16)value), tensor.Lengths),
    };
}
