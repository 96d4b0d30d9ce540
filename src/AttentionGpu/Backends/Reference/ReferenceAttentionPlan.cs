using AttentionGpu.Backends.Host;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Attention in float64, row by row: all scores of a row, their softmax, then the weighted sum of the values.</summary>
internal sealed class ReferenceAttentionPlan(AttentionSignature signature) : IPlan<AttentionExtent, AttentionBuffers>
{
    public long WorkspaceBytes(in AttentionExtent extent) => 0;

    public void Execute(in AttentionExtent extent, in AttentionBuffers buffers, DeviceMemory workspace)
    {
        long scoreCount = signature.Scores is null ? 0 : extent.ScoreCount / (signature.Scores == ScoreStage.AverageWeights ? extent.Heads : 1);
        double[] scores = new double[scoreCount];
        double[] weights = new double[extent.KeyLength];
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            Sequence sequence = buffers.SequenceOf(signature, extent, batch);
            for (int head = 0; head < extent.Heads; head++)
            {
                for (int query = 0; query < sequence.QueryLength; query++)
                {
                    Span<double> kept = signature.Scores is null ? default : scores.AsSpan(ScoreRow(extent, batch, head, query), extent.KeyLength);
                    Score(extent, buffers, sequence, batch, head, query, weights, kept);
                    double logSumExp = Softmax(weights, buffers.SinkOf(signature, head));
                    WriteOutput(extent, buffers, sequence, batch, head, query, weights);
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
        in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, Span<double> scores, Span<double> kept)
    {
        var queries = new ElementAccess(buffers.Query, signature.Element);
        var keys = new KeyValueAccess(buffers.Key, signature.KeyValue, extent.Key);
        long queryRow = extent.Query.Offset(batch, head, sequence.QueryStart + query);
        for (int key = 0; key < scores.Length; key++)
        {
            bool isVisible = IsVisible(extent, buffers, sequence, batch, head, query, key);
            scores[key] = double.NegativeInfinity;
            if (!isVisible && signature.Scores is null)
                continue;
            double score = 0.0;
            for (int i = 0; i < signature.HeadSize; i++)
                score += queries[queryRow + i] * keys[batch, head / signature.GroupSize, sequence.KeyStart + key, i];
            score *= extent.Scale;
            Keep(kept, key, score, ScoreStage.Products);
            if (signature.HasSoftcap)
                score = extent.Softcap * Math.Tanh(score / extent.Softcap);
            Keep(kept, key, score, ScoreStage.Softcapped);
            if (isVisible)
                scores[key] = score + Added(extent, buffers, sequence, batch, head, query, key);
            Keep(kept, key, scores[key], ScoreStage.Masked);
        }
    }

    private void Keep(Span<double> kept, int key, double score, ScoreStage stage)
    {
        if (signature.Scores == stage)
            kept[key] = score;
    }

    private unsafe double Added(in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, int key)
    {
        double added = 0.0;
        if (signature.HasAlibi)
            added -= (double)buffers.AlibiSlopes.Pointer<float>()[head] * Math.Abs(query + sequence.DistanceOffset - key);
        if (signature.HasBias)
            added += buffers.Bias.Pointer<float>()[extent.Bias.Offset(batch, head, query, key)];
        return added;
    }

    private unsafe bool IsVisible(in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, int key)
    {
        if (key >= sequence.KeyLength)
            return false;
        bool inPrefix = signature.Causal == CausalKind.CausalWithPrefix && key < sequence.PrefixLength;
        if (signature.Causal != CausalKind.None && !inPrefix && key > (long)query + sequence.CausalOffset)
            return false;
        if (signature.HasWindow)
        {
            long distance = key - ((long)query + sequence.WindowOffset);
            if (distance < -extent.Window.Left || distance > extent.Window.Right)
                return false;
        }

        if (signature.HasKeyPadding && buffers.KeyPadding.Pointer<byte>()[(long)batch * extent.KeyLength + key] != 0)
            return false;
        if (signature.HasDocuments
            && buffers.QueryDocuments.Pointer<int>()[(long)batch * extent.QueryLength + query]
            != buffers.KeyDocuments.Pointer<int>()[(long)batch * extent.KeyLength + key])
        {
            return false;
        }

        if (signature.HasBias && float.IsNegativeInfinity(buffers.Bias.Pointer<float>()[extent.Bias.Offset(batch, head, query, key)]))
            return false;
        return !signature.HasMask || buffers.Mask.Pointer<byte>()[extent.Mask.Offset(batch, head, query, key)] != 0;
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

    private void WriteOutput(in AttentionExtent extent, in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, ReadOnlySpan<double> weights)
    {
        var values = new KeyValueAccess(buffers.Value, signature.KeyValue, extent.Value);
        var output = new ElementAccess(buffers.Output, signature.Element);
        long row = extent.Output.Offset(batch, head, sequence.QueryStart + query);
        for (int i = 0; i < signature.ValueHeadSize; i++)
        {
            double sum = 0.0;
            for (int key = 0; key < sequence.KeyLength; key++)
                sum += weights[key] * values[batch, head / signature.GroupSize, sequence.KeyStart + key, i];
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
