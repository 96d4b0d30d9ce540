using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Attention of one query in float64, as the definition says it: hidden keys are not read, scores are scaled after the product, and nothing
/// overflows that float32 can hold in the end. For the rows where the kernels' float32 sums are not finite, or where all that a row looked
/// at weighs nothing: a value of a hidden key that is NaN, a query that the scale makes infinite, a sum of large values.
/// </summary>
internal sealed unsafe class PreciseRow<TVector, TOperations>(AttentionContext context)
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private const int ChunkKeys = 256;
    private const int FloatsOfDouble = 2;

    private readonly ScoreMask<TVector, TOperations> _mask = new(context);

    // Soft capping is a stage of the scores by itself.
    private readonly ScoreVariant[] _beforeAdding = ScoreVariant.Beside(context.Signature, ~ScoreVariants.Softcap);
    private readonly ScoreVariant[] _variants = ScoreVariant.Beside(context.Signature, ScoreVariants.Softcap);

    // The variants that can hide keys beside those that the mask reads.
    private readonly ScoreVariant[] _hiding = ScoreVariant.Beside(context.Signature, ScoreMask<TVector, TOperations>.Variants);

    /// <summary>Floats of memory.</summary>
    public static long Size(in AttentionSignature signature) =>
        FloatsOfDouble * (long)(signature.HeadSize + signature.ValueHeadSize + ChunkKeys)
        + ChunkKeys + Math.Max(signature.HeadSize, signature.ValueHeadSize);

    /// <summary>Writes the output of a query, and its log-sum-exp where that is asked for.</summary>
    /// <param name="memory">Memory of <see cref="Size"/> floats.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The query head.</param>
    /// <param name="query">The query, counted from the sequence's first.</param>
    /// <returns>What <see cref="WriteScores"/> and <see cref="AddWeights"/> need to know of the row.</returns>
    public State Attend(float* memory, int batch, int head, int query)
    {
        AttentionSignature signature = context.Signature;
        Row row = Begin(memory, batch, head, query);
        var state = new State { Maximum = double.NegativeInfinity };
        int firstKey = context.Bounds.FirstKey(row.Sequence, query);
        int endKey = context.Bounds.EndKey(row.Sequence, query);
        for (int key = firstKey; key < endKey && !state.IsNaN; key += ChunkKeys)
            Take(row, ref state, key, Math.Min(ChunkKeys, endKey - key));
        double normalizer = state.Finish(context.SinkOf(head));
        DoubleRows.Round(row.Sums, normalizer, row.Converted, signature.ValueHeadSize);
        if (state.IsNaN)
            new Span<float>(row.Converted, signature.ValueHeadSize).Fill(float.NaN);
        int token = row.Sequence.QueryStart + query;
        ElementRows.Store(
            row.Converted,
            ElementRows.Address(context.Buffers.Output, signature.Element, context.Extent.Output.Offset(batch, head, token)),
            signature.Element, signature.ValueHeadSize);
        if (signature.HasLogSumExp)
        {
            context.Buffers.LogSumExp.Pointer<float>()[context.Extent.LogSumExp.Offset(batch, head, token)] =
                (float)(state.Maximum + Math.Log(state.Total));
        }

        return state;
    }

    /// <summary>Writes the scores of a query, or its weights: <see cref="ScoreStage.AverageWeights"/> apart.</summary>
    /// <param name="memory">Memory of <see cref="Size"/> floats.</param>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The query head.</param>
    /// <param name="query">The query, counted from the sequence's first.</param>
    /// <param name="state">What <see cref="Attend"/> has returned for the row.</param>
    /// <param name="target">The row of scores, of all keys.</param>
    public void WriteScores(float* memory, int batch, int head, int query, in State state, byte* target)
    {
        AttentionSignature signature = context.Signature;
        ScoreStage stage = signature.Scores!.Value;
        Row row = Begin(memory, batch, head, query);
        for (int key = 0; key < context.Extent.KeyLength; key += ChunkKeys)
        {
            int count = Math.Min(ChunkKeys, context.Extent.KeyLength - key);
            if (stage is ScoreStage.Products or ScoreStage.Softcapped)
                ReadUnmasked(row, key, count, stage == ScoreStage.Softcapped);
            else if (stage == ScoreStage.Masked)
                ReadMasked(row, key, count);
            else
                ReadWeights(row, state, key, count);
            ElementRows.Store(row.Mask, target + (long)key * signature.Element.Size(), signature.Element, count);
        }
    }

    /// <summary>Adds a share of the weights of a query to a row of floats.</summary>
    public void AddWeights(float* memory, int batch, int head, int query, in State state, double share, float* target)
    {
        Row row = Begin(memory, batch, head, query);
        for (int key = 0; key < context.Extent.KeyLength; key += ChunkKeys)
        {
            int count = Math.Min(ChunkKeys, context.Extent.KeyLength - key);
            ReadWeights(row, state, key, count);
            for (int i = 0; i < count; i++)
                target[key + i] = (float)(target[key + i] + share * row.Mask[i]);
        }
    }

    private Row Begin(float* memory, int batch, int head, int query)
    {
        AttentionSignature signature = context.Signature;
        var row = new Row { Batch = batch, Head = head, Query = query, Sequence = context.SequenceOf(batch), Queries = (double*)memory };
        row.Sums = row.Queries + signature.HeadSize;
        row.Scores = row.Sums + signature.ValueHeadSize;
        row.Mask = (float*)(row.Scores + ChunkKeys);
        row.Converted = row.Mask + ChunkKeys;
        new Span<double>(row.Sums, signature.ValueHeadSize).Clear();
        long first = context.Extent.Query.Offset(batch, head, row.Sequence.QueryStart + query);
        ElementRows.Load(
            ElementRows.Address(context.Buffers.Query, signature.Element, first), signature.Element, row.Converted, signature.HeadSize);
        for (int i = 0; i < signature.HeadSize; i++)
            row.Queries[i] = row.Converted[i];
        return row;
    }

    // Takes a chunk of keys into the softmax and the sums. A score that is NaN or +inf makes the whole row NaN: the rest need not be read.
    private void Take(in Row row, ref State state, int firstKey, int count)
    {
        double largest = ScoreVisible(row, firstKey, count);
        if (!(largest < double.PositiveInfinity))
        {
            state = new State { Maximum = double.NaN, Total = double.NaN };
            return;
        }

        double factor = state.Raise(largest);
        for (int i = 0; factor != 1.0 && i < context.Signature.ValueHeadSize; i++)
            row.Sums[i] *= factor;
        for (int i = 0; i < count; i++)
        {
            if (IsHidden(row, i))
                continue;
            double weight = state.Weight(row.Scores[i]);
            state.Total += weight;
            context.Values.Read(
                row.Batch, row.Head / context.Signature.GroupSize, row.Sequence.KeyStart + firstKey + i, 1, row.Converted,
                out float* value, out _);
            DoubleRows.AddProduct(row.Sums, value, weight, context.Signature.ValueHeadSize);
        }
    }

    /// <summary>Scores a chunk of keys that the query sees by position, marks the hidden ones, and returns the largest score.</summary>
    private double ScoreVisible(in Row row, int firstKey, int count)
    {
        _mask.ReadRow(row.Batch, row.Head, row.Query, firstKey, count, row.Mask);
        double largest = double.NegativeInfinity;
        if (ScoreMask<TVector, TOperations>.HidesAll(row.Mask, count))
            return largest;
        for (int i = 0; i < count; i++)
        {
            if (IsHidden(row, i))
                continue;
            ScorePoint point = PointOf(row, firstKey + i);
            if (Hides(point))
            {
                row.Mask[i] = float.NegativeInfinity;
                continue;
            }

            row.Scores[i] = Change(_variants, Change(_beforeAdding, Product(row, firstKey + i), point), point);
            largest = Math.Max(largest, row.Scores[i]);
        }

        return largest;
    }

    private void ReadUnmasked(in Row row, int firstKey, int count, bool softcapped)
    {
        for (int i = 0; i < count; i++)
        {
            double score = Product(row, firstKey + i);
            row.Mask[i] = (float)(softcapped ? Change(_beforeAdding, score, PointOf(row, firstKey + i)) : score);
        }
    }

    private void ReadMasked(in Row row, int firstKey, int count)
    {
        (int first, int end) = HideByPosition(row, firstKey, count, float.NegativeInfinity);
        Row visible = row with { Mask = row.Mask + first };
        ScoreVisible(visible, firstKey + first, end - first);
        for (int i = 0; i < end - first; i++)
            visible.Mask[i] = IsHidden(visible, i) ? float.NegativeInfinity : (float)visible.Scores[i];
    }

    private void ReadWeights(in Row row, in State state, int firstKey, int count)
    {
        (int first, int end) = HideByPosition(row, firstKey, count, 0f);
        Row visible = row with { Mask = row.Mask + first };
        ScoreVisible(visible, firstKey + first, end - first);
        for (int i = 0; i < end - first; i++)
            visible.Mask[i] = IsHidden(visible, i) ? 0f : (float)(state.Weight(visible.Scores[i]) * state.Normalizer);
    }

    // Gives the keys that the query does not see by position a number, and returns the range of the others.
    private (int First, int End) HideByPosition(in Row row, int firstKey, int count, float hidden)
    {
        int first = Math.Clamp(context.Bounds.FirstKey(row.Sequence, row.Query) - firstKey, 0, count);
        int end = Math.Clamp(context.Bounds.EndKey(row.Sequence, row.Query) - firstKey, first, count);
        new Span<float>(row.Mask, first).Fill(hidden);
        new Span<float>(row.Mask + end, count - end).Fill(hidden);
        return (first, end);
    }

    private static bool IsHidden(in Row row, int index) => float.IsNegativeInfinity(row.Mask[index]);

    private double Product(in Row row, int key)
    {
        context.Keys.Read(
            row.Batch, row.Head / context.Signature.GroupSize, row.Sequence.KeyStart + key, 1, row.Converted, out float* values, out _);
        return DoubleRows.Dot(row.Queries, values, context.Signature.HeadSize) * context.Extent.Scale;
    }

    private ScorePoint PointOf(in Row row, int key) => new(in context.Extent, in context.Buffers)
    {
        Sequence = row.Sequence,
        Batch = row.Batch,
        Head = row.Head,
        Query = row.Query,
        Key = key,
    };

    private bool Hides(in ScorePoint point)
    {
        foreach (ScoreVariant variant in _hiding)
        {
            if (variant.Hides(point))
                return true;
        }

        return false;
    }

    private static double Change(ScoreVariant[] variants, double score, in ScorePoint point)
    {
        foreach (ScoreVariant variant in variants)
            score = variant.Change(score, point);
        return score;
    }

    /// <summary>A softmax in float64: its largest score, and the sum of its weights relative to that.</summary>
    internal struct State
    {
        public double Maximum;
        public double Total;

        /// <summary>Whether a visible score is not a number, or infinite, which makes the whole row NaN.</summary>
        public readonly bool IsNaN => double.IsNaN(Total);

        /// <summary>What weights are multiplied by; 0 where no key is visible.</summary>
        public readonly double Normalizer => Total == 0.0 ? 0.0 : 1.0 / Total;

        /// <summary>The weight of a score. A row that has seen nothing is shifted by 0: -inf minus -inf is NaN.</summary>
        public readonly double Weight(double score) => Math.Exp(score - (double.IsNegativeInfinity(Maximum) ? 0.0 : Maximum));

        /// <summary>Raises the maximum to at least a score, and returns by what all sums shrink.</summary>
        public double Raise(double score)
        {
            if (score <= Maximum)
                return 1.0;
            double old = Maximum;
            Maximum = score;
            double factor = Math.Exp(old - score);
            Total *= factor;
            return factor;
        }

        /// <summary>Takes in a last score without a value, -inf for none, and returns what sums are multiplied by.</summary>
        public double Finish(double sink)
        {
            double factor = Raise(sink);
            Total += Weight(sink);
            return factor * Normalizer;
        }
    }

    /// <summary>A query, and the memory for it.</summary>
    private struct Row
    {
        /// <summary>The query, not scaled.</summary>
        public double* Queries;

        /// <summary>The outputs so far.</summary>
        public double* Sums;

        /// <summary>The scores of a chunk of keys, where they are visible.</summary>
        public double* Scores;

        /// <summary>-inf for the hidden keys of a chunk; then numbers that are written.</summary>
        public float* Mask;

        /// <summary>A row that is converted to floats on load, or from floats on store.</summary>
        public float* Converted;

        public Sequence Sequence;
        public int Batch;
        public int Head;
        public int Query;
    }
}
