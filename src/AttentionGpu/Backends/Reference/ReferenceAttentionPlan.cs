using AttentionGpu.Backends.Host;
using AttentionGpu.Backends.Variants;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Attention in float64, row by row: all scores of a row, their softmax, then the weighted sum of the values.</summary>
internal sealed class ReferenceAttentionPlan(AttentionSignature signature) : IPlan<AttentionExtent, AttentionBuffers>
{
    // Soft capping is a stage of the scores of its own.
    private readonly ScoreVariant[] _beforeAdding = ScoreVariant.Beside(signature, ~ScoreVariants.Softcap);
    private readonly ScoreVariant[] _variants = ScoreVariant.Beside(signature, ScoreVariants.Softcap);

    public long WorkspaceBytes(in AttentionExtent extent) => 0;

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        long scoreCount = signature.Scores is null ? 0 : extent.ScoreCount / (signature.Scores == ScoreStage.AverageWeights ? extent.Heads : 1);
        double[] scores = new double[scoreCount];
        double[] weights = new double[extent.KeyLength];
        bool[] visible = new bool[extent.KeyLength];
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            Sequence sequence = buffers.SequenceOf(signature, extent, batch);
            for (int head = 0; head < extent.Heads; head++)
            {
                for (int query = 0; query < sequence.QueryLength; query++)
                {
                    Span<double> kept = signature.Scores is null ? default : scores.AsSpan(ScoreRow(extent, batch, head, query), extent.KeyLength);
                    Score(extent, buffers, sequence, batch, head, query, weights, visible, kept);
                    double logSumExp = Softmax(weights, buffers.SinkOf(signature, head));
                    WriteOutput(extent, buffers, sequence, batch, head, query, weights, visible);
                    if (signature.HasLogSumExp)
                        WriteLogSumExp(buffers, extent.LogSumExp.Offset(batch, head, sequence.QueryStart + query), logSumExp);
                    AddWeights(extent.Heads, kept, weights);
                }
            }
        }

        var target = new ElementAccess(buffers.Scores, signature.Element);
        for (long i = 0; i < scoreCount; i++)
            target[i] = scores[i];
    }

    private int ScoreRow(in AttentionExtent extent, int batch, int head, int query)
    {
        int matrix = signature.Scores == ScoreStage.AverageWeights ? batch : batch * extent.Heads + head;
        return (matrix * extent.QueryLength + query) * extent.KeyLength;
    }

    // All keys of memory are scored, also those behind the sequence's end: they are hidden, but the products may be asked for.
    private void Score(
        in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, Span<double> scores,
        Span<bool> visible, Span<double> kept)
    {
        var queries = new ElementAccess(buffers.Query, signature.Element);
        var keys = new KeyValueAccess(
            buffers.Key, buffers.KeyScales, buffers.Pages, signature.KeyValue, extent.Key, extent.PageShift, signature.HeadSize);
        long queryRow = extent.Query.Offset(batch, head, sequence.QueryStart + query);
        for (int key = 0; key < scores.Length; key++)
        {
            var point = new ScorePoint(in extent, in buffers) { Sequence = sequence, Batch = batch, Head = head, Query = query, Key = key };
            bool isVisible = visible[key] = IsVisible(point);
            scores[key] = double.NegativeInfinity;
            if (!isVisible && signature.Scores is null)
                continue;
            double score = 0.0;
            for (int i = 0; i < signature.HeadSize; i++)
                score += queries[queryRow + i] * keys[batch, head / signature.GroupSize, sequence.KeyStart + key, i];
            score *= extent.Scale;
            Keep(kept, key, score, ScoreStage.Products);
            foreach (ScoreVariant variant in _beforeAdding)
                score = variant.Change(score, point);
            Keep(kept, key, score, ScoreStage.Softcapped);
            if (isVisible)
            {
                foreach (ScoreVariant variant in _variants)
                    score = variant.Change(score, point);
                scores[key] = score;
            }

            Keep(kept, key, scores[key], ScoreStage.Masked);
        }
    }

    private void Keep(Span<double> kept, int key, double score, ScoreStage stage)
    {
        if (signature.Scores == stage)
            kept[key] = score;
    }

    private bool IsVisible(in ScorePoint point)
    {
        Sequence sequence = point.Sequence;
        if (point.Key >= sequence.KeyLength)
            return false;
        bool inPrefix = signature.Causal == CausalKind.CausalWithPrefix && point.Key < sequence.PrefixLength;
        if (signature.Causal != CausalKind.None && !inPrefix && point.Key > (long)point.Query + sequence.CausalOffset)
            return false;
        if (signature.HasWindow)
        {
            long distance = point.Key - ((long)point.Query + sequence.WindowOffset);
            if (distance < -point.Extent.Window.Left || distance > point.Extent.Window.Right)
                return false;
        }

        foreach (ScoreVariant variant in _variants)
        {
            if (variant.Hides(point))
                return false;
        }

        return true;
    }

    /// <summary>Turns scores into weights, and returns the logarithm of the sum of their exponentials.</summary>
    private static double Softmax(Span<double> scores, double sink)
    {
        double maximum = sink;
        foreach (double score in scores)
            maximum = Math.Max(maximum, score);
        if (double.IsNegativeInfinity(maximum))
        {
            scores.Clear();
            return double.NegativeInfinity;
        }

        double sum = Math.Exp(sink - maximum);
        for (int key = 0; key < scores.Length; key++)
            sum += scores[key] = Math.Exp(scores[key] - maximum);
        for (int key = 0; key < scores.Length; key++)
            scores[key] /= sum;
        return maximum + Math.Log(sum);
    }

    private void WriteOutput(in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query,
        ReadOnlySpan<double> weights, ReadOnlySpan<bool> visible)
    {
        var values = new KeyValueAccess(
            buffers.Value, buffers.ValueScales, buffers.Pages, signature.KeyValue, extent.Value, extent.PageShift,
            signature.KeyValue.StoredValueSize(signature.HeadSize, signature.ValueHeadSize));
        var output = new ElementAccess(buffers.Output, signature.Element);
        long row = extent.Output.Offset(batch, head, sequence.QueryStart + query);
        for (int i = 0; i < signature.ValueHeadSize; i++)
        {
            double sum = 0.0;
            for (int key = 0; key < sequence.KeyLength; key++)
            {
                // 0 times a hidden value that is not finite would be NaN.
                if (!visible[key])
                    continue;
                sum += weights[key] * values[batch, head / signature.GroupSize, sequence.KeyStart + key, i];
            }

            output[row + i] = sum;
        }
    }

    private static unsafe void WriteLogSumExp(in AttentionBuffers buffers, long row, double logSumExp) =>
        buffers.LogSumExp.Pointer<float>()[row] = (float)logSumExp;

    private void AddWeights(int heads, Span<double> kept, ReadOnlySpan<double> weights)
    {
        if (signature.Scores is not (ScoreStage.Weights or ScoreStage.AverageWeights))
            return;
        double share = signature.Scores == ScoreStage.AverageWeights ? 1.0 / heads : 1.0;
        for (int key = 0; key < weights.Length; key++)
            kept[key] += weights[key] * share;
    }
}
