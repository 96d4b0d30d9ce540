using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Variants;

/// <summary>Runs a problem on an engine, with tensors of its element type and layout, into poisoned outputs.</summary>
internal static class VariantRun
{
    public static VariantResult OnReference(VariantCase problem) => Run(problem, Engines.Reference);

    public static VariantResult Run(VariantCase problem, AttentionEngine engine) => problem.Kind.Element switch
    {
        ElementForm.F32 => Run(problem, engine, value => value, value => value),
        ElementForm.F16 => Run(problem, engine, value => (Half)value, value => (float)value),
        _ => Run(problem, engine, value => (BFloat16)value, value => value),
    };

    private static VariantResult Run<T>(
        VariantCase problem, AttentionEngine engine, Converter<float, T> store, Converter<T, float> load)
        where T : unmanaged
    {
        Tensor<T>? Stored(Tensor<float>? tensor) => tensor is null ? null : Tensor.Create(Array.ConvertAll(Data.Flat(tensor), store), tensor.Lengths);
        Tensor<float>? Loaded(Tensor<T>? tensor) => tensor is null ? null : Tensor.Create(Array.ConvertAll(Data.Flat(tensor), load), tensor.Lengths);
        Tensor<T> Poisoned(params ReadOnlySpan<nint> lengths) => Stored(Data.Poisoned(lengths))!;

        VariantKind kind = problem.Kind;
        int[] order = kind.Layout switch
        {
            _ when problem.IsRagged => [],
            LayoutForm.HeadsFirst => [],
            LayoutForm.LengthFirst => [2, 0, 1, 3],
            _ => [0, 2, 1, 3],
        };
        int leftOut = kind.AxesLeftOut;
        int batchLeftOut = Math.Min(leftOut, 1);
        bool joins = !problem.IsRagged && kind.Layout is LayoutForm.JoinedHeads or LayoutForm.LengthFirst;

        // In memory as the layout says; a permuted tensor is that memory, seen as [batch, heads, length, size] again.
        Tensor<T> Arranged(Tensor<float> tensor)
        {
            Tensor<T> stored = Stored(tensor)!;
            if (order.Length > 0)
                stored = Tensor.PermuteDimensions(stored, order).ToDenseTensor();
            return joins ? Tensor.Create(Data.Flat(stored), [stored.Lengths[0], stored.Lengths[1], stored.Lengths[2] * stored.Lengths[3]])
                : kind.Layout == LayoutForm.Permuted ? stored
                : Without(stored, leftOut)!;
        }

        nint[] outputLengths = problem.IsRagged
            ? [problem.QueryLength, problem.Heads, problem.ValueSize]
            : [problem.Batch, problem.Heads, problem.QueryLength, problem.ValueSize];
        (Tensor<T> query, Tensor<T> key, Tensor<T> value) = (Arranged(problem.Query), Arranged(problem.Key), Arranged(problem.Value));
        Tensor<T> output = Arranged(Data.Poisoned(outputLengths));
        Tensor<T>? scores = kind.Scores switch
        {
            null => null,
            ScoreStage.AverageWeights => Without(Poisoned(problem.Batch, problem.QueryLength, problem.ScoreColumns), batchLeftOut),
            _ => Without(Poisoned(problem.Batch, problem.Heads, problem.QueryLength, problem.ScoreColumns), leftOut),
        };
        Tensor<float>? logSumExp = !kind.LogSumExp ? null
            : problem.IsRagged ? Data.Poisoned(problem.Heads, problem.QueryLength)
            : Without(Data.Poisoned(problem.Batch, problem.Heads, problem.QueryLength), leftOut);
        Tensor<T>? Present(int size) =>
            kind.Present && !kind.PresentInPlace
                ? Without(Poisoned(problem.Batch, problem.KeyValueHeads, problem.TotalKeys, size), leftOut)
                : null;
        Tensor<T>? presentKey = Present(problem.HeadSize);
        Tensor<T>? presentValue = Present(problem.ValueSize);

        // On the device and in host memory by turns.
        PresentBuffer<T>? Buffer(Tensor<float>? past, int size) => !kind.PresentInPlace ? null : new PresentBuffer<T>(
            Stored(past), [problem.Batch, problem.KeyValueHeads, problem.TotalKeys, size], 1 + size % 3, leftOut, store(float.NaN),
            problem.TotalKeys % 2 == 0 ? engine : null);
        using PresentBuffer<T>? keys = Buffer(problem.PastKey, problem.HeadSize);
        using PresentBuffer<T>? values = Buffer(problem.PastValue, problem.ValueSize);
        bool permuted = !problem.IsRagged && kind.Layout == LayoutForm.Permuted;
        engine.ScaledDotProductAttention(
            new AttentionInputs<T>
            {
                Query = Seen(query, permuted, leftOut),
                Key = Seen(key, permuted, leftOut),
                Value = Seen(value, permuted, leftOut),
                PastKey = keys is not null ? keys.Past : Without(Stored(problem.PastKey), leftOut),
                PastValue = values is not null ? values.Past : Without(Stored(problem.PastValue), leftOut),
                KeyPaddingMask = Without(problem.Padding, batchLeftOut),
                KeyPaddingBias = Without(problem.PaddingBias, batchLeftOut),
                ExtraKey = Stored(problem.ExtraKey),
                ExtraValue = Stored(problem.ExtraValue),
                Mask = new AttentionMask(problem.Mask, problem.Bias),
                KeyLengths = problem.KeyLengths,
                PrefixLengths = problem.PrefixLengths,
                CumulativeQueryLengths = problem.QueryStarts,
                CumulativeKeyLengths = problem.KeyStarts,
                QueryDocuments = Numbers(Without(problem.QueryDocuments, batchLeftOut)),
                KeyDocuments = Numbers(Without(problem.KeyDocuments, batchLeftOut)),
                AlibiSlopes = problem.Slopes,
                DistanceBias = problem.DistanceBias,
                Sinks = problem.Sinks,
                QueryNorm = problem.QueryNorm,
                KeyNorm = problem.KeyNorm,
                RotaryCosine = problem.Cosine,
                RotarySine = problem.Sine,
                QueryPositions = Numbers(Without(problem.QueryPositions, batchLeftOut)),
                KeyPositions = Numbers(Without(problem.KeyPositions, batchLeftOut)),
            },
            new AttentionOutputs<T>
            {
                Output = permuted ? Seen(output.AsTensorSpan(), leftOut) : output.AsTensorSpan(),
                Scores = scores,
                ScoreStage = kind.Scores ?? default,
                LogSumExp = logSumExp,
                PresentKey = keys is not null ? keys.Present : presentKey,
                PresentValue = values is not null ? values.Present : presentValue,
            },
            problem.Options with
            {
                Layout = order.Length == 0 || permuted ? AttentionLayout.BatchHeadsLength
                    : kind.Layout == LayoutForm.LengthFirst ? AttentionLayout.LengthBatchHeads
                    : AttentionLayout.BatchLengthHeads,
                Heads = joins ? problem.Heads : null,
                KeyValueHeads = joins ? problem.KeyValueHeads : null,
            });
        presentKey ??= keys?.Written();
        presentValue ??= values?.Written();
        return new VariantResult(
            Back(Loaded(output)!, kind, outputLengths, order),
            With(Loaded(scores), kind.Scores == ScoreStage.AverageWeights ? batchLeftOut : leftOut),
            With(logSumExp, leftOut), With(Loaded(presentKey), leftOut), With(Loaded(presentValue), leftOut));
    }

    private static ReadOnlyTensorSpan<int> Numbers(Tensor<int>? numbers) => numbers is null ? default : numbers.AsReadOnlyTensorSpan();

    // Without the first axes, which are 1 long.
    private static Tensor<T>? Without<T>(Tensor<T>? tensor, int axes) =>
        tensor is null || axes == 0 ? tensor : Tensor.Create(Data.Flat(tensor), tensor.Lengths[axes..]);

    // With axes of 1 before the others.
    private static Tensor<T>? With<T>(Tensor<T>? tensor, int axes) =>
        tensor is null || axes == 0 ? tensor : Tensor.Create(Data.Flat(tensor), [.. Enumerable.Repeat((nint)1, axes), .. tensor.Lengths]);

    private static ReadOnlyTensorSpan<T> Seen<T>(Tensor<T> tensor, bool permuted, int leftOut) =>
        permuted ? Seen(tensor.AsTensorSpan(), leftOut) : tensor.AsReadOnlyTensorSpan();

    // [batch, length, heads, size] as [batch, heads, length, size], by strides alone.
    private static TensorSpan<T> Seen<T>(TensorSpan<T> tensor, int leftOut)
    {
        (nint batch, nint length, nint heads, nint size) = (tensor.Lengths[0], tensor.Lengths[1], tensor.Lengths[2], tensor.Lengths[3]);
        Span<T> memory = MemoryMarshal.CreateSpan(ref tensor.GetPinnableReference(), (int)tensor.FlattenedLength);
        nint[] lengths = [batch, heads, length, size];
        nint[] strides = [length * heads * size, size, heads * size, 1];

        // The stride of an axis of length 1 must be 0.
        nint[] steps = [.. strides.Zip(lengths, (stride, count) => count == 1 ? 0 : stride)];
        return new TensorSpan<T>(memory, lengths.AsSpan(leftOut), steps.AsSpan(leftOut));
    }

    private static Tensor<float> Back(Tensor<float> output, VariantKind kind, nint[] lengths, int[] order)
    {
        if (order.Length == 0)
            return Tensor.Create(Data.Flat(output), lengths);
        int[] inverse = kind.Layout == LayoutForm.LengthFirst ? [1, 2, 0, 3] : order;
        nint[] arranged = [.. order.Select(axis => lengths[axis])];
        return Tensor.PermuteDimensions(Tensor.Create(Data.Flat(output), arranged), inverse).ToDenseTensor();
    }
}
