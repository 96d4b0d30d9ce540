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
        bool joins = !problem.IsRagged && kind.Layout is LayoutForm.JoinedHeads or LayoutForm.LengthFirst;

        // In memory as the layout says; a permuted tensor is that memory, seen as [batch, heads, length, size] again.
        Tensor<T> Arranged(Tensor<float> tensor)
        {
            Tensor<T> stored = Stored(tensor)!;
            if (order.Length > 0)
                stored = Tensor.PermuteDimensions(stored, order).ToDenseTensor();
            return joins ? Tensor.Create(Data.Flat(stored), [stored.Lengths[0], stored.Lengths[1], stored.Lengths[2] * stored.Lengths[3]]) : stored;
        }

        nint[] outputLengths = problem.IsRagged
            ? [problem.QueryLength, problem.Heads, problem.ValueSize]
            : [problem.Batch, problem.Heads, problem.QueryLength, problem.ValueSize];
        (Tensor<T> query, Tensor<T> key, Tensor<T> value) = (Arranged(problem.Query), Arranged(problem.Key), Arranged(problem.Value));
        Tensor<T> output = Arranged(Data.Poisoned(outputLengths));
        Tensor<T>? scores = kind.Scores switch
        {
            null => null,
            ScoreStage.AverageWeights => Poisoned(problem.Batch, problem.QueryLength, problem.TotalKeys),
            _ => Poisoned(problem.Batch, problem.Heads, problem.QueryLength, problem.TotalKeys),
        };
        Tensor<float>? logSumExp = !kind.LogSumExp ? null
            : problem.IsRagged ? Data.Poisoned(problem.Heads, problem.QueryLength)
            : Data.Poisoned(problem.Batch, problem.Heads, problem.QueryLength);
        Tensor<T>? presentKey = kind.Present ? Poisoned(problem.Batch, problem.KeyValueHeads, problem.TotalKeys, problem.HeadSize) : null;
        Tensor<T>? presentValue = kind.Present ? Poisoned(problem.Batch, problem.KeyValueHeads, problem.TotalKeys, problem.ValueSize) : null;
        bool permuted = !problem.IsRagged && kind.Layout == LayoutForm.Permuted;
        engine.ScaledDotProductAttention(
            new AttentionInputs<T>
            {
                Query = Seen(query, permuted),
                Key = Seen(key, permuted),
                Value = Seen(value, permuted),
                PastKey = Stored(problem.PastKey),
                PastValue = Stored(problem.PastValue),
                Mask = new AttentionMask(problem.Mask, problem.Bias),
                KeyLengths = problem.KeyLengths,
                PrefixLengths = problem.PrefixLengths,
                CumulativeQueryLengths = problem.QueryStarts,
                CumulativeKeyLengths = problem.KeyStarts,
                QueryDocuments = Numbers(problem.QueryDocuments),
                KeyDocuments = Numbers(problem.KeyDocuments),
                AlibiSlopes = problem.Slopes,
                Sinks = problem.Sinks,
                QueryNorm = problem.QueryNorm,
                KeyNorm = problem.KeyNorm,
                RotaryCosine = problem.Cosine,
                RotarySine = problem.Sine,
                QueryPositions = Numbers(problem.QueryPositions),
                KeyPositions = Numbers(problem.KeyPositions),
            },
            new AttentionOutputs<T>
            {
                Output = permuted ? Seen(output.AsTensorSpan()) : output.AsTensorSpan(),
                Scores = scores,
                ScoreStage = kind.Scores ?? default,
                LogSumExp = logSumExp,
                PresentKey = presentKey,
                PresentValue = presentValue,
            },
            problem.Options with
            {
                Layout = order.Length == 0 || permuted ? AttentionLayout.BatchHeadsLength
                    : kind.Layout == LayoutForm.LengthFirst ? AttentionLayout.LengthBatchHeads
                    : AttentionLayout.BatchLengthHeads,
                Heads = joins ? problem.Heads : null,
                KeyValueHeads = joins ? problem.KeyValueHeads : null,
            });
        return new VariantResult(Back(Loaded(output)!, kind, outputLengths, order), Loaded(scores), logSumExp, Loaded(presentKey), Loaded(presentValue));
    }

    private static ReadOnlyTensorSpan<int> Numbers(Tensor<int>? numbers) => numbers is null ? default : numbers.AsReadOnlyTensorSpan();

    private static ReadOnlyTensorSpan<T> Seen<T>(Tensor<T> tensor, bool permuted) => permuted ? Seen(tensor.AsTensorSpan()) : tensor.AsReadOnlyTensorSpan();

    // [batch, length, heads, size] as [batch, heads, length, size], by strides alone.
    private static TensorSpan<T> Seen<T>(TensorSpan<T> tensor)
    {
        (nint batch, nint length, nint heads, nint size) = (tensor.Lengths[0], tensor.Lengths[1], tensor.Lengths[2], tensor.Lengths[3]);
        Span<T> memory = MemoryMarshal.CreateSpan(ref tensor.GetPinnableReference(), (int)tensor.FlattenedLength);
        nint[] lengths = [batch, heads, length, size];
        nint[] strides = [length * heads * size, size, heads * size, 1];

        // The stride of an axis of length 1 must be 0.
        return new TensorSpan<T>(memory, lengths, [.. strides.Zip(lengths, (stride, count) => count == 1 ? 0 : stride)]);
    }

    private static Tensor<float> Back(Tensor<float> output, VariantKind kind, nint[] lengths, int[] order)
    {
        if (order.Length == 0)
            return output;
        int[] inverse = kind.Layout == LayoutForm.LengthFirst ? [1, 2, 0, 3] : order;
        nint[] arranged = [.. order.Select(axis => lengths[axis])];
        return Tensor.PermuteDimensions(Tensor.Create(Data.Flat(output), arranged), inverse).ToDenseTensor();
    }
}
