using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Attention in float64, row by row: all scores of a row, their softmax, then the weighted sum of the values.</summary>
internal sealed class ReferenceAttentionPlan(AttentionProblem problem) : IPlan<AttentionBuffers>
{
    public void Execute(in AttentionBuffers buffers)
    {
        long scoreCount = problem.Scores is null ? 0 : problem.ScoreCount / (problem.Scores == ScoreStage.AverageWeights ? problem.Heads : 1);
        double[] scores = new double[scoreCount];
        double[] weights = new double[problem.KeyLength];
        for (int batch = 0; batch < problem.Batch; batch++)
        {
            Sequence sequence = buffers.SequenceOf(problem, batch);
            for (int head = 0; head < problem.Heads; head++)
            {
                for (int query = 0; query < sequence.QueryLength; query++)
                {
                    Span<double> kept = problem.Scores is null ? default : scores.AsSpan(ScoreRow(batch, head, query), problem.KeyLength);
                    Score(buffers, sequence, batch, head, query, weights, kept);
                    double logSumExp = Softmax(weights, buffers.SinkOf(problem, head));
                    WriteOutput(buffers, sequence, batch, head, query, weights);
                    if (problem.LogSumExp is { } layout)
                        WriteLogSumExp(buffers, layout.Offset(batch, head, sequence.QueryStart + query), logSumExp);
                    AddWeights(kept, weights);
                }
            }
        }

        var target = new ElementAccess(buffers.Scores, problem.Element);
        for (long i = 0; i < scoreCount; i++)
            target[i] = scores[i];
    }

    private int ScoreRow(int batch, int head, int query)
    {
        int matrix = problem.Scores == ScoreStage.AverageWeights ? batch : batch * problem.Heads + head;
        return (matrix * problem.QueryLength + query) * problem.KeyLength;
    }

    // All keys of memory are scored, also those behind the sequence's end: they are hidden, but the products may be asked for.
    private void Score(
        in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, Span<double> scores, Span<double> kept)
    {
        var queries = new ElementAccess(buffers.Query, problem.Element);
        var keys = new ElementAccess(buffers.Key, problem.Element);
        long queryRow = problem.Query.Offset(batch, head, sequence.QueryStart + query);
        for (int key = 0; key < scores.Length; key++)
        {
            bool isVisible = IsVisible(buffers, sequence, batch, head, query, key);
            scores[key] = double.NegativeInfinity;
            if (!isVisible && problem.Scores is null)
                continue;
            long keyRow = problem.Key.Offset(batch, head / problem.GroupSize, sequence.KeyStart + key);
            double score = 0.0;
            for (int i = 0; i < problem.HeadSize; i++)
                score += queries[queryRow + i] * keys[keyRow + i];
            score *= problem.Scale;
            Keep(kept, key, score, ScoreStage.Products);
            if (problem.Softcap != 0f)
                score = problem.Softcap * Math.Tanh(score / problem.Softcap);
            Keep(kept, key, score, ScoreStage.Softcapped);
            if (isVisible)
                scores[key] = score + Added(buffers, sequence, batch, head, query, key);
            Keep(kept, key, scores[key], ScoreStage.Masked);
        }
    }

    private void Keep(Span<double> kept, int key, double score, ScoreStage stage)
    {
        if (problem.Scores == stage)
            kept[key] = score;
    }

    private unsafe double Added(in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, int key)
    {
        double added = 0.0;
        if (problem.HasAlibi)
            added -= (double)buffers.AlibiSlopes.Pointer<float>()[head] * Math.Abs(query + sequence.DistanceOffset - key);
        if (problem.Bias is { } bias)
            added += buffers.Bias.Pointer<float>()[bias.Offset(batch, head, query, key)];
        return added;
    }

    private unsafe bool IsVisible(in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, int key)
    {
        if (key >= sequence.KeyLength)
            return false;
        bool inPrefix = problem.Causal == CausalKind.CausalWithPrefix && key < sequence.PrefixLength;
        if (problem.Causal != CausalKind.None && !inPrefix && key > (long)query + sequence.CausalOffset)
            return false;
        if (problem.Window is { } window)
        {
            long distance = key - ((long)query + sequence.WindowOffset);
            if (distance < -window.Left || distance > window.Right)
                return false;
        }

        if (problem.HasKeyPadding && buffers.KeyPadding.Pointer<byte>()[(long)batch * problem.KeyLength + key] != 0)
            return false;
        if (problem.HasDocuments
            && buffers.QueryDocuments.Pointer<int>()[(long)batch * problem.QueryLength + query]
            != buffers.KeyDocuments.Pointer<int>()[(long)batch * problem.KeyLength + key])
        {
            return false;
        }

        if (problem.Bias is { } bias && float.IsNegativeInfinity(buffers.Bias.Pointer<float>()[bias.Offset(batch, head, query, key)]))
            return false;
        return problem.Mask is not { } mask || buffers.Mask.Pointer<byte>()[mask.Offset(batch, head, query, key)] != 0;
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

    private void WriteOutput(in AttentionBuffers buffers, Sequence sequence, int batch, int head, int query, ReadOnlySpan<double> weights)
    {
        var values = new ElementAccess(buffers.Value, problem.Element);
        var output = new ElementAccess(buffers.Output, problem.Element);
        long row = problem.Output.Offset(batch, head, sequence.QueryStart + query);
        for (int i = 0; i < problem.ValueHeadSize; i++)
        {
            double sum = 0.0;
            for (int key = 0; key < sequence.KeyLength; key++)
                sum += weights[key] * values[problem.Value.Offset(batch, head / problem.GroupSize, sequence.KeyStart + key) + i];
            output[row + i] = sum;
        }
    }

    private static unsafe void WriteLogSumExp(in AttentionBuffers buffers, long row, double logSumExp) =>
        buffers.LogSumExp.Pointer<float>()[row] = (float)logSumExp;

    private void AddWeights(Span<double> kept, ReadOnlySpan<double> weights)
    {
        if (problem.Scores is not (ScoreStage.Weights or ScoreStage.AverageWeights))
            return;
        double share = problem.Scores == ScoreStage.AverageWeights ? 1.0 / problem.Heads : 1.0;
        for (int key = 0; key < weights.Length; key++)
            kept[key] += weights[key] * share;
    }
}
