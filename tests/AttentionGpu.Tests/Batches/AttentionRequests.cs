using System.Numerics.Tensors;
using AttentionGpu.Tests.Support;

namespace AttentionGpu.Tests.Batches;

/// <summary>How requests stand together in a call.</summary>
public enum BatchForm
{
    /// <summary>Of the same lengths, one batch entry each.</summary>
    Dense,

    /// <summary>Of the same query length; keys are padded behind each one's own, and key lengths say so.</summary>
    KeyLengths,

    /// <summary>One behind the other.</summary>
    Ragged,
}

/// <summary>What all requests of a batch have in common.</summary>
internal sealed record RequestKind
{
    public required int Heads { get; init; }

    public required int KeyValueHeads { get; init; }

    public required int HeadSize { get; init; }

    public required int ValueSize { get; init; }

    public required AttentionOptions Options { get; init; }

    public Tensor<float>? Sinks { get; init; }

    public Tensor<float>? Slopes { get; init; }

    public Tensor<float>? DistanceBias { get; init; }

    public Tensor<float>? Norm { get; init; }

    public Tensor<float>? Angles { get; init; }

    /// <summary>Whether a boolean mask is given, which the ragged form cannot have.</summary>
    public bool HasMask { get; init; }

    /// <summary>Whether weights are asked for, which the ragged form cannot have either.</summary>
    public bool HasWeights { get; init; }
}

/// <summary>A request: [length, heads, size] of queries, keys and values.</summary>
internal sealed record AttentionRequestData<T>(int Queries, int Keys, T[] Query, T[] Key, T[] Value, bool[] Mask)
    where T : unmanaged;

/// <summary>The results of a request: [length, heads, size], [heads, length], and [heads, length, keys] or nothing.</summary>
internal sealed record RequestResult<T>(T[] Output, float[] LogSumExp, T[] Weights)
    where T : unmanaged;

/// <summary>Random requests of one kind, run by themselves or together, into poisoned outputs.</summary>
internal sealed class AttentionRequests<T>(RequestKind kind)
    where T : unmanaged
{
    public AttentionRequestData<T> Create(Random random, int queries, int keys) => new(
        queries, keys, Values(random, queries * kind.Heads * kind.HeadSize), Values(random, keys * kind.KeyValueHeads * kind.HeadSize),
        Values(random, keys * kind.KeyValueHeads * kind.ValueSize),
        kind.HasMask ? [.. Enumerable.Range(0, queries * keys).Select(_ => random.Next(4) != 0)] : []);

    /// <summary>The results of each request of a call.</summary>
    public RequestResult<T>[] Run(AttentionEngine engine, AttentionRequestData<T>[] requests, BatchForm form) =>
        form == BatchForm.Ragged ? RunRagged(engine, requests) : RunPadded(engine, requests, form);

    private RequestResult<T>[] RunRagged(AttentionEngine engine, AttentionRequestData<T>[] requests)
    {
        int[] queryStarts = [0, .. Starts(requests.Select(request => request.Queries))];
        int[] keyStarts = [0, .. Starts(requests.Select(request => request.Keys))];
        (int queries, int keys) = (queryStarts[^1], keyStarts[^1]);
        T[] output = ElementArrays.Poisoned<T>(queries * kind.Heads * kind.ValueSize);
        float[] sums = ElementArrays.Poisoned<float>(kind.Heads * queries);
        AttentionInputs<T> inputs = Inputs(
            Tensor.Create(Join(requests, request => request.Query), [queries, kind.Heads, kind.HeadSize]),
            Tensor.Create(Join(requests, request => request.Key), [keys, kind.KeyValueHeads, kind.HeadSize]),
            Tensor.Create(Join(requests, request => request.Value), [keys, kind.KeyValueHeads, kind.ValueSize]));
        inputs.CumulativeQueryLengths = queryStarts;
        inputs.CumulativeKeyLengths = keyStarts;
        engine.ScaledDotProductAttention(
            inputs,
            new AttentionOutputs<T>
            {
                Output = Tensor.Create(output, [queries, kind.Heads, kind.ValueSize]),
                LogSumExp = Tensor.Create(sums, [kind.Heads, queries]),
            },
            kind.Options);
        int row = kind.Heads * kind.ValueSize;
        return [.. requests.Select((request, i) => new RequestResult<T>(
            output[(queryStarts[i] * row)..(queryStarts[i + 1] * row)],
            [
                .. Enumerable.Range(0, kind.Heads).SelectMany(
                    head => sums[(head * queries + queryStarts[i])..(head * queries + queryStarts[i + 1])]),
            ],
            []))];
    }

    private RequestResult<T>[] RunPadded(AttentionEngine engine, AttentionRequestData<T>[] requests, BatchForm form)
    {
        int batch = requests.Length;
        int queries = requests[0].Queries;
        int keys = requests.Max(request => request.Keys);
        T[] output = ElementArrays.Poisoned<T>(batch * queries * kind.Heads * kind.ValueSize);
        float[] sums = ElementArrays.Poisoned<float>(batch * kind.Heads * queries);
        T[] weights = ElementArrays.Poisoned<T>(kind.HasWeights ? batch * kind.Heads * queries * keys : 0);
        AttentionInputs<T> inputs = Inputs(
            Tensor.Create(Join(requests, request => request.Query), [batch, queries, kind.Heads, kind.HeadSize]),
            Tensor.Create(
                Join(requests, request => Padded(request.Key, keys * kind.KeyValueHeads * kind.HeadSize)),
                [batch, keys, kind.KeyValueHeads, kind.HeadSize]),
            Tensor.Create(
                Join(requests, request => Padded(request.Value, keys * kind.KeyValueHeads * kind.ValueSize)),
                [batch, keys, kind.KeyValueHeads, kind.ValueSize]));
        if (form == BatchForm.KeyLengths)
            inputs.KeyLengths = requests.Select(request => request.Keys).ToArray();
        if (kind.HasMask)
        {
            bool[] mask = [.. requests.SelectMany(request => Enumerable.Range(0, queries).SelectMany(
                query => Padded(request.Mask[(query * request.Keys)..((query + 1) * request.Keys)], keys)))];
            inputs.Mask = Tensor.Create(mask, [batch, 1, queries, keys]);
        }

        engine.ScaledDotProductAttention(
            inputs,
            new AttentionOutputs<T>
            {
                Output = Tensor.Create(output, [batch, queries, kind.Heads, kind.ValueSize]),
                LogSumExp = Tensor.Create(sums, [batch, kind.Heads, queries]),
                Scores = kind.HasWeights ? Tensor.Create(weights, [batch, kind.Heads, queries, keys]) : null,
            },
            kind.Options with { Layout = AttentionLayout.BatchLengthHeads });
        int row = queries * kind.Heads * kind.ValueSize;
        int rows = kind.Heads * queries;
        return [.. requests.Select((request, i) => new RequestResult<T>(
            output[(i * row)..((i + 1) * row)],
            sums[(i * rows)..((i + 1) * rows)],
            [
                .. Enumerable.Range(0, kind.HasWeights ? rows : 0).SelectMany(
                    one => weights[((i * rows + one) * keys)..((i * rows + one) * keys + request.Keys)]),
            ]))];
    }

    private AttentionInputs<T> Inputs(Tensor<T> query, Tensor<T> key, Tensor<T> value) => new()
    {
        Query = query,
        Key = key,
        Value = value,
        Sinks = kind.Sinks,
        AlibiSlopes = kind.Slopes,
        DistanceBias = kind.DistanceBias,
        QueryNorm = kind.Norm,
        KeyNorm = kind.Norm,
        RotaryCosine = kind.Angles,
        RotarySine = kind.Angles,
    };

    private static T[] Values(Random random, int count) =>
        ElementArrays.Round<T>([.. Enumerable.Range(0, count).Select(_ => 2f * random.NextSingle() - 1f)]);

    // Behind a request's own keys lie others, which are finite, and which nobody sees.
    private static TItem[] Padded<TItem>(TItem[] own, int length)
    {
        var all = new TItem[length];
        own.CopyTo(all, 0);
        for (int i = own.Length; i < length; i++)
            all[i] = own.Length == 0 ? default! : own[i % own.Length];
        return all;
    }

    private static T[] Join(AttentionRequestData<T>[] requests, Func<AttentionRequestData<T>, T[]> part) => [.. requests.SelectMany(part)];

    private static IEnumerable<int> Starts(IEnumerable<int> lengths)
    {
        int start = 0;
        foreach (int length in lengths)
            yield return start += length;
    }
}
