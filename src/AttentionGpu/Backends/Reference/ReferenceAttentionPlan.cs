using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Attention in float64, row by row: all scores of a row, their softmax, then the weighted sum of the values.</summary>
internal sealed class ReferenceAttentionPlan(AttentionProblem problem) : IPlan<AttentionBuffers>
{
    public unsafe void Execute(in AttentionBuffers buffers)
    {
        if (problem.Weights == WeightsKind.Averaged)
            new Span<float>(buffers.Weights.Pointer<float>(), checked((int)(problem.WeightCount / problem.Heads))).Clear();

        double[] weights = new double[problem.KeyLength];
        for (int batch = 0; batch < problem.Batch; batch++)
        {
            for (int head = 0; head < problem.Heads; head++)
            {
                for (int query = 0; query < problem.QueryLength; query++)
                {
                    Score(buffers, batch, head, query, weights);
                    Softmax(weights);
                    WriteOutput(buffers, batch, head, query, weights);
                    WriteWeights(buffers, batch, head, query, weights);
                }
            }
        }
    }

    private unsafe void Score(in AttentionBuffers buffers, int batch, int head, int query, double[] scores)
    {
        float* queryRow = buffers.Query.Pointer<float>() + problem.Query.Offset(batch, head, query);
        for (int key = 0; key < scores.Length; key++)
        {
            if (!IsVisible(buffers, batch, head, query, key))
            {
                scores[key] = double.NegativeInfinity;
                continue;
            }

            float* keyRow = buffers.Key.Pointer<float>() + problem.Key.Offset(batch, head / problem.GroupSize, key);
            double dot = 0.0;
            for (int i = 0; i < problem.HeadSize; i++)
                dot += (double)queryRow[i] * keyRow[i];
            scores[key] = dot * problem.Scale;
            if (problem.Mask.Kind == MaskKind.Additive)
                scores[key] += buffers.Mask.Pointer<float>()[problem.Mask.Offset(batch, head, query, key)];
        }
    }

    private unsafe bool IsVisible(in AttentionBuffers buffers, int batch, int head, int query, int key)
    {
        if (problem.CausalOffset is int offset && key > (long)query + offset)
            return false;
        if (problem.HasKeyPadding && buffers.KeyPadding.Pointer<byte>()[(long)batch * problem.KeyLength + key] != 0)
            return false;
        return problem.Mask.Kind != MaskKind.Boolean
            || buffers.Mask.Pointer<byte>()[problem.Mask.Offset(batch, head, query, key)] != 0;
    }

    private static void Softmax(double[] scores)
    {
        double maximum = double.NegativeInfinity;
        foreach (double score in scores)
            maximum = Math.Max(maximum, score);
        if (double.IsNegativeInfinity(maximum))
        {
            Array.Clear(scores);
            return;
        }

        double sum = 0.0;
        for (int key = 0; key < scores.Length; key++)
            sum += scores[key] = Math.Exp(scores[key] - maximum);
        for (int key = 0; key < scores.Length; key++)
            scores[key] /= sum;
    }

    private unsafe void WriteOutput(in AttentionBuffers buffers, int batch, int head, int query, double[] weights)
    {
        float* outputRow = buffers.Output.Pointer<float>() + problem.Output.Offset(batch, head, query);
        for (int i = 0; i < problem.ValueHeadSize; i++)
        {
            double sum = 0.0;
            for (int key = 0; key < weights.Length; key++)
                sum += weights[key] * buffers.Value.Pointer<float>()[problem.Value.Offset(batch, head / problem.GroupSize, key) + i];
            outputRow[i] = (float)sum;
        }
    }

    private unsafe void WriteWeights(in AttentionBuffers buffers, int batch, int head, int query, double[] weights)
    {
        float* target = buffers.Weights.Pointer<float>();
        if (problem.Weights == WeightsKind.PerHead)
        {
            target += (((long)batch * problem.Heads + head) * problem.QueryLength + query) * problem.KeyLength;
            for (int key = 0; key < weights.Length; key++)
                target[key] = (float)weights[key];
        }
        else if (problem.Weights == WeightsKind.Averaged)
        {
            target += ((long)batch * problem.QueryLength + query) * problem.KeyLength;
            for (int key = 0; key < weights.Length; key++)
                target[key] += (float)(weights[key] / problem.Heads);
        }
    }
}
