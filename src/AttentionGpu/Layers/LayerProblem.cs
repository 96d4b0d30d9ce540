using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Operators;
using AttentionGpu.Problems;

namespace AttentionGpu.Layers;

/// <summary>What a layer's parameters are like, as far as its products care.</summary>
internal readonly record struct LayerParameters(bool HasInputBias, bool HasOutputBias, bool IsInputPanelled, bool IsOutputPanelled);

/// <summary>A validated call of a layer, as the operators that it is made of.</summary>
internal sealed class LayerProblem
{
    /// <summary>Whether one product makes queries, keys and values, into one buffer.</summary>
    public bool Fused { get; }

    /// <summary>Makes queries; all three when <see cref="Fused"/>.</summary>
    public LinearProblem QueryProjection { get; }

    public LinearProblem? KeyProjection { get; }

    public LinearProblem? ValueProjection { get; }

    public AttentionProblem Attention { get; }

    public LinearProblem OutputProjection { get; }

    /// <summary>The ragged sequences; null where sequences are not ragged.</summary>
    public Sequence[]? Sequences { get; }

    /// <summary>Elements of the queries, head by head, and of the heads' outputs, joined.</summary>
    public long QueryCount { get; }

    /// <summary>Elements of the keys, and of the values, head by head.</summary>
    public long KeyCount { get; }

    /// <exception cref="ArgumentException">A shape or an option is wrong.</exception>
    public LayerProblem(MultiHeadAttentionConfig config, LayerParameters parameters, in LayerCall call)
    {
        bool isRagged = !call.CumulativeLengths.IsEmpty;
        bool batchFirst = config.BatchFirst || isRagged;
        int batchAxis = batchFirst ? 0 : 1;
        int lengthAxis = 1 - batchAxis;
        string order = batchFirst ? "[batch, length, {0}]" : "[length, batch, {0}]";
        ReadOnlySpan<nint> query = call.Query.Lengths;
        ReadOnlySpan<nint> key = call.Key.Lengths;
        ReadOnlySpan<nint> value = call.Value.Lengths;
        ReadOnlySpan<nint> output = call.Output.Lengths;
        if (isRagged)
        {
            // One batch entry of all tokens, as far as the projections go.
            ShapeRules.RequireRank(query, 2, "[tokens, embedding size]", "input");
            ShapeRules.Require(output, query, "[tokens, embedding size]", "output");
            query = key = value = output = new nint[] { 1, query[0], query[1] };
        }

        RequireInput(query, order, "embedding size", config.EmbeddingSize, "query");
        RequireInput(key, order, "key size", config.ActualKeySize, "key");
        RequireInput(value, order, "value size", config.ActualValueSize, "value");
        int batch = (int)query[batchAxis];
        int queryLength = (int)query[lengthAxis];
        int keyLength = (int)key[lengthAxis];
        ShapeRules.RequireAxis(key, batchAxis, batch, "the batch, as in query", "key");
        ShapeRules.RequireAxis(value, batchAxis, batch, "the batch, as in query", "value");
        ShapeRules.RequireAxis(value, lengthAxis, keyLength, "the length, as in key", "value");
        ShapeRules.Require(output, query, string.Format(null, order, "embedding size"), "output");
        if (!Enum.IsDefined(call.Causal))
            throw BadInput.OutOfRange("causal", call.Causal, "It must be one of its named values.");
        nint[] scores = [batch, config.Heads, queryLength, keyLength];
        if (call.KeyPadding.IsPresent)
            ShapeRules.Require(call.KeyPadding.Lengths, [batch, keyLength], "[batch, key length]", "keyPaddingMask");
        if (call.Scores is { } stage)
            AttentionRequest.RequireScores(call.Weights.Lengths, stage, batch, config.Heads, queryLength, keyLength, "weights");
        RequireRows(batch, queryLength, query, "query");
        RequireRows(batch, keyLength, key, "key");

        int heads = config.Heads;
        int keyValueHeads = config.ActualKeyValueHeads;
        int size = config.ActualHeadSize;
        Fused = call.Query.IsSame(call.Key) && call.Key.IsSame(call.Value)
            && config.ActualKeySize == config.EmbeddingSize && config.ActualValueSize == config.EmbeddingSize;
        int queryBufferHeads = Fused ? heads + 2 * keyValueHeads : heads;
        int rows = batch * queryLength;
        QueryCount = (long)batch * heads * queryLength * size;
        KeyCount = (long)batch * keyValueHeads * keyLength * size;

        LinearProblem Split(int bufferHeads, int length, int depth) => new()
        {
            Rows = batch * length,
            Columns = bufferHeads * size,
            Depth = depth,
            HasBias = parameters.HasInputBias,
            IsWeightPanelled = parameters.IsInputPanelled,
            Output = HeadMap(config, batchFirst, batch, bufferHeads, length),
        };
        QueryProjection = Split(queryBufferHeads, queryLength, config.EmbeddingSize);
        if (!Fused)
        {
            KeyProjection = Split(keyValueHeads, keyLength, config.ActualKeySize);
            ValueProjection = Split(keyValueHeads, keyLength, config.ActualValueSize);
        }

        TensorLayout queryLayout = TensorLayout.Contiguous(queryBufferHeads, queryLength, size);
        TensorLayout keyLayout = Fused ? queryLayout : TensorLayout.Contiguous(keyValueHeads, keyLength, size);
        if (isRagged)
        {
            Sequences = SequenceTable.Unpack(
                new AttentionOptions { Causal = call.Causal }, call.CumulativeLengths, queryLength, [], keyLength, "cumulativeLengths");
            queryLayout = keyLayout = queryLayout with { BatchStride = 0 };
            queryLength = keyLength = Sequences.Select(sequence => sequence.QueryLength).DefaultIfEmpty().Max();
        }

        Attention = new AttentionProblem
        {
            Batch = Sequences?.Length ?? batch,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            QueryLength = queryLength,
            KeyLength = keyLength,
            HeadSize = size,
            ValueHeadSize = size,
            Scale = config.Scale ?? AttentionProblem.DefaultScale(size),
            Sequence = isRagged ? default : SequenceTable.Create(new AttentionOptions { Causal = call.Causal }, queryLength, keyLength),
            HasSequences = isRagged,
            Causal = SequenceTable.KindOf(call.Causal, hasPrefix: false),
            Query = queryLayout,
            Key = keyLayout,
            Value = keyLayout,
            Output = isRagged ? new TensorLayout(0, size, config.QueryRows) : JoinedHeads(config, batch, queryLength),
            Mask = MaskRules.LayOut(call.Mask.Visible, scores),
            Bias = MaskRules.LayOut(call.Mask.Bias, scores),
            HasKeyPadding = call.KeyPadding.IsPresent,
            Scores = call.Scores,
        };
        OutputProjection = new LinearProblem
        {
            Rows = rows,
            Columns = config.EmbeddingSize,
            Depth = config.QueryRows,
            HasBias = parameters.HasOutputBias,
            IsWeightPanelled = parameters.IsOutputPanelled,
            Output = MatrixMap.Contiguous(rows, config.EmbeddingSize),
        };
    }

    // Rows are (batch, position) pairs in the order of the input's first two axes; memory is [batch, heads, length, size].
    private static MatrixMap HeadMap(MultiHeadAttentionConfig config, bool batchFirst, int batch, int heads, int length)
    {
        int size = config.ActualHeadSize;
        long headStride = (long)length * size;
        long batchStride = heads * headStride;
        return batchFirst
            ? new MatrixMap(Math.Max(length, 1), batchStride, size, size, headStride)
            : new MatrixMap(Math.Max(batch, 1), size, batchStride, size, headStride);
    }

    // [rows, heads x size], with rows in the same order: what the output projection reads.
    private static TensorLayout JoinedHeads(MultiHeadAttentionConfig config, int batch, int length)
    {
        long row = config.QueryRows;
        return config.BatchFirst
            ? new TensorLayout(length * row, config.ActualHeadSize, row)
            : new TensorLayout(row, config.ActualHeadSize, batch * row);
    }

    private static void RequireInput(ReadOnlySpan<nint> lengths, string order, string sizeName, int size, string name)
    {
        ShapeRules.RequireRank(lengths, 3, string.Format(null, order, sizeName), name);
        ShapeRules.RequireAxis(lengths, 2, size, $"the layer's {sizeName}", name);
    }

    private static void RequireRows(int batch, int length, ReadOnlySpan<nint> lengths, string name)
    {
        if ((long)batch * length > int.MaxValue)
            throw ShapeRules.Error(lengths, $"must have at most {int.MaxValue} rows", name);
    }
}
