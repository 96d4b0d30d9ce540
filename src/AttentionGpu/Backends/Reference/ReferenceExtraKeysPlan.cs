using AttentionGpu.Backends.Host;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Joins extra keys to a finished attention in float64, row by row.</summary>
internal sealed class ReferenceExtraKeysPlan(ExtraKeysSignature signature) : IPlan<ExtraKeysExtent, ExtraKeysBuffers>
{
    public long WorkspaceBytes(in ExtraKeysExtent extent) => 0;

    public void Execute(in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, DeviceMemory workspace)
    {
        double[] scores = new double[signature.Scores is null ? 0 : extent.ScoreCount(signature)];
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            for (int head = 0; head < extent.Heads; head++)
            {
                for (int query = 0; query < extent.Length; query++)
                {
                    ExtraKeysRow row = Join(extent, buffers, batch, head, query);
                    if (signature.Scores is not null)
                        AddScores(extent, buffers, scores, row, batch, head, query);
                }
            }
        }

        var target = new ElementAccess(buffers.Scores, signature.Element);
        for (int i = 0; i < scores.Length; i++)
            target[i] = scores[i];
    }

    private unsafe ExtraKeysRow Join(in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, int batch, int head, int query)
    {
        var queries = new ElementAccess(buffers.Query, signature.Element);
        var keys = new ElementAccess(buffers.Key, signature.Element);
        var values = new ElementAccess(buffers.Value, signature.Element);
        var output = new ElementAccess(buffers.Output, signature.Element);
        int keyHead = head / signature.GroupSize;
        double product = 0.0;
        for (int i = 0; i < signature.HeadSize && signature.HasKey; i++)
            product += queries[extent.Query.Offset(batch, head, query) + i] * keys[(long)keyHead * signature.HeadSize + i];
        float* logSumExp = buffers.LogSumExp.Pointer<float>() + extent.LogSumExp.Offset(batch, head, query);
        ExtraKeysRow row = ExtraKeysRow.Join(signature, extent, *logSumExp, extent.Scale * product);
        *logSumExp = (float)row.LogSumExp;
        long first = extent.Output.Offset(batch, head, query);
        for (int i = 0; i < signature.ValueHeadSize; i++)
        {
            double value = signature.HasKey ? row.KeyWeight * values[(long)keyHead * signature.ValueHeadSize + i] : 0.0;
            output[first + i] = row.Factor * output[first + i] + value;
        }

        return row;
    }

    private void AddScores(
        in ExtraKeysExtent extent, in ExtraKeysBuffers buffers, double[] scores, in ExtraKeysRow row, int batch, int head, int query)
    {
        var stored = new ElementAccess(buffers.StoredScores, signature.Element);
        bool averages = signature.Scores == ScoreStage.AverageWeights;
        double share = averages ? 1.0 / extent.Heads : 1.0;
        long source = ((long)batch * extent.Heads + head) * extent.Length + query;
        long target = (averages ? (long)batch * extent.Length + query : source) * (extent.KeyLength + signature.Count);
        for (int key = 0; key < extent.KeyLength; key++)
            scores[target++] += row.ColumnFactor * stored[source * extent.KeyLength + key] * share;
        if (signature.HasKey)
            scores[target++] += row.KeyColumn * share;
        if (signature.HasZeroKey)
            scores[target] += row.ZeroColumn * share;
    }
}
