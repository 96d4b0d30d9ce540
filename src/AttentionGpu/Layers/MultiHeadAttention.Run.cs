using System.Numerics.Tensors;
using AttentionGpu.Elements;
using AttentionGpu.KeyValueCaches;
using AttentionGpu.Layers;
using AttentionGpu.Operators;
using AttentionGpu.Tensors;

namespace AttentionGpu;

/// <content>A call: linear, attention, linear. The operator lowers it.</content>
public sealed partial class MultiHeadAttention<T>
{
    // By causal option, so that a call allocates none.
    private readonly AttentionOptions[] _options;

    private AttentionOptions[] MakeOptions() => [.. Enum.GetValues<Causal>().Select(causal => new AttentionOptions
    {
        Causal = causal,
        Scale = Config.Scale,
        Softcap = Config.Softcap,
        Window = Config.Window,
        AddZeroAttention = Config.AddZeroAttention,
        RotaryInterleaved = Config.Rotary?.Interleaved ?? false,
        BatchInvariant = Config.BatchInvariant || Engine.IsBatchInvariant,
        NormEpsilon = Config.NormEpsilon,
    })];

    private void Run(
        in MultiHeadAttentionInputs<T> inputs, in MultiHeadAttentionOutputs<T> outputs, AttentionNames names, bool writesOnly = false,
        bool preparesOnly = false)
    {
        var call = new CallMemory(Engine.Lifetime);
        RotaryTables.Pair? tables = null;
        try
        {
            ThrowIfDisposed();
            KeyValueBatchState? cache = inputs.Cache.IsPresent ? inputs.Cache.State : null;
            Causal causal = inputs.Causal ?? (cache is { Appends: true } ? Causal.BottomRight : Causal.None);
            if (!Enum.IsDefined(causal))
                throw BadInput.OutOfRange("causal", causal, "'causal' must be one of its named values.");
            if (outputs.AverageWeights && !outputs.Weights.IsPresent)
                throw BadInput.OutOfRange(nameof(outputs), true, "'AverageWeights' must be left out where there are no 'weights'.");
            bool isSelf = !inputs.Key.IsPresent;
            if (isSelf && inputs.Value.IsPresent)
                throw BadInput.Because("value", "'value' must be left out where 'key' is.");
            bool readsOnly = cache is { Appends: false };
            if (cache is not null)
                RequireCache(inputs, cache, names, writesOnly);
            TensorInput<T> key = isSelf && !readsOnly ? inputs.Query : inputs.Key;
            TensorInput<T> value = inputs.Value.IsPresent ? inputs.Value : key;
            ReadOnlySpan<nint> noQuery = [0, Config.EmbeddingSize];
            ReadOnlySpan<nint> noKey = [0, Config.ActualKeySize];
            ReadOnlySpan<nint> noValue = [0, Config.ActualValueSize];
            var shapes = new LayerShapes(
                Config, cache is not null || !inputs.CumulativeLengths.IsEmpty, names.Query,
                writesOnly ? noQuery : inputs.Query.Lengths, readsOnly ? noKey : key.Lengths, readsOnly ? noValue : value.Lengths,
                writesOnly ? noQuery : outputs.Output.Lengths);
            bool isFused = Parameters.IsJoined && inputs.Query.IsSame(key) && key.IsSame(value);
            AttentionInputs<T> attention = Lower(inputs, key, value, shapes, ref tables);
            Engine.Attend(
                ref call,
                shapes.Heads(isFused) with
                {
                    Cache = cache,
                    CacheLayer = inputs.CacheLayer,
                    WritesOnly = writesOnly,
                    PreparesOnly = preparesOnly,
                },
                attention,
                new AttentionOutputs<T>
                {
                    Output = outputs.Output,
                    Scores = outputs.Weights,
                    ScoreStage = outputs.AverageWeights ? ScoreStage.AverageWeights : ScoreStage.Weights,
                    LogSumExp = outputs.LogSumExp,
                },
                _options[(int)causal],
                names,
                new LayerSteps(
                    shapes, Config, Parameters, ParameterMemory.Use(ref call, Parameters, this), ElementTypes.Of<T>(), isFused,
                    _options[0].BatchInvariant));
        }
        finally
        {
            call.Dispose();
            tables?.Release();
        }
    }

    // The call and the layer's parameters as inputs of the operator, around which the layer's steps stand.
    private AttentionInputs<T> Lower(
        scoped in MultiHeadAttentionInputs<T> inputs, TensorInput<T> key, TensorInput<T> value, scoped in LayerShapes shapes,
        scoped ref RotaryTables.Pair? tables)
    {
        KeyValueBatchState? cache = inputs.Cache.IsPresent ? inputs.Cache.State : null;
        bool readsOnly = cache is { Appends: false };
        var attention = new AttentionInputs<T>
        {
            Query = inputs.Query,
            Key = key,
            Value = value,
            Cache = inputs.Cache,
            CacheLayer = inputs.CacheLayer,
            Mask = inputs.Mask,
            KeyPaddingMask = inputs.KeyPaddingMask,
            KeyPaddingBias = inputs.KeyPaddingBias,
            KeyLengths = inputs.KeyLengths,
            CumulativeQueryLengths = inputs.CumulativeLengths,
            CumulativeKeyLengths = inputs.CumulativeKeyLengths,
            QueryPositions = inputs.QueryPositions,
            KeyPositions = inputs.KeyPositions.Rank == 0 && !readsOnly ? inputs.QueryPositions : inputs.KeyPositions,
            ExtraKey = (DeviceTensor<T>?)Parameters.ExtraKey,
            ExtraValue = (DeviceTensor<T>?)Parameters.ExtraValue,
            QueryNorm = Parameters.QueryNorm,
            KeyNorm = Parameters.KeyNorm,
            Sinks = Parameters.Sinks,
            AlibiSlopes = Parameters.AlibiSlopes,
            DistanceBias = Parameters.DistanceBias,
        };
        if (Rotary is not null)
        {
            int positions = cache is null ? Positions(inputs, attention, shapes) : CachedPositions(attention, cache);

            tables = Rotary.Acquire(positions);
            attention.RotaryCosine = tables.Cosine;
            attention.RotarySine = tables.Sine;
        }

        return attention;
    }

    // Rows of the rotary tables that a call without a cache needs.
    private int Positions(
        scoped in MultiHeadAttentionInputs<T> inputs, scoped in AttentionInputs<T> attention, scoped in LayerShapes shapes)
    {
        int positions = Math.Max(
            Positions(attention.QueryPositions, Longest(inputs.CumulativeLengths, shapes.QueryLength), "queryPositions"),
            Positions(
                attention.KeyPositions,
                Longest(inputs.CumulativeKeyLengths.IsEmpty ? inputs.CumulativeLengths : inputs.CumulativeKeyLengths, shapes.KeyLength),
                "keyPositions"));
        if (inputs.QueryPositions.Rank == 0)
        {
            RequireOneStage(inputs.CumulativeLengths, positions, "cumulativeLengths");
            RequireOneStage(inputs.CumulativeKeyLengths, positions, "cumulativeKeyLengths");
        }

        return positions;
    }

    // A sequence has the result that it would have alone, and the tables are for the longest.
    private void RequireOneStage(ReadOnlySpan<int> starts, int longest, string name)
    {
        for (int i = 1; i < starts.Length; i++)
            RequireOneStage(starts[i] - starts[i - 1], longest, name);
    }

    private void RequireOneStage(int length, int longest, string name)
    {
        if (length > 0 && Rotary!.Stage(length) != Rotary.Stage(longest))
        {
            throw BadInput.Because(
                name,
                $"'{name}' has a sequence of {length} tokens beside one of {longest}, whose rotary embedding differs by length: "
                + $"{Config.Rotary!.Scaling!.Text}. They must be in calls of their own.");
        }
    }

    // Rows of the rotary tables that a call needs.
    private static int Positions(in ReadOnlyTensorSpan<int> given, int length, string name)
    {
        if (given.Rank == 0)
        {
            return length <= RotaryEmbedding.MaxPositions
                ? length
                : throw BadInput.OutOfRange(name, length - 1, $"A position in '{name}' must be 0 to {RotaryEmbedding.MaxPositions - 1}.");
        }

        int largest = -1;
        foreach (int position in given)
        {
            if (position is < 0 or >= RotaryEmbedding.MaxPositions)
                throw BadInput.OutOfRange(name, position, $"A position in '{name}' must be 0 to {RotaryEmbedding.MaxPositions - 1}.");
            largest = Math.Max(largest, position);
        }

        return largest + 1;
    }

    // Tokens of the longest of several ragged sequences; the starts are checked later.
    private static int Longest(ReadOnlySpan<int> starts, int tokens)
    {
        if (starts.IsEmpty)
            return tokens;
        long longest = 0;
        for (int i = 1; i < starts.Length; i++)
            longest = Math.Max(longest, (long)starts[i] - starts[i - 1]);
        return (int)Math.Min(longest, tokens);
    }
}
