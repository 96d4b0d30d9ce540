using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Support;

/// <summary>Attention problems for plans that a test makes itself: dense tensors [batch, heads, length, size], scale 1, float32.</summary>
internal static class ContiguousProblem
{
    public static AttentionProblem Attention(int heads, int queries, int keys, int size) => Attention(1, heads, heads, queries, keys, size, size);

    public static AttentionProblem Attention(
        int batch, int heads, int keyValueHeads, int queries, int keys, int headSize, int valueSize) => new()
        {
            Batch = batch,
            Heads = heads,
            KeyValueHeads = keyValueHeads,
            QueryLength = queries,
            KeyLength = keys,
            HeadSize = headSize,
            ValueHeadSize = valueSize,
            Scale = 1f,
            Query = TensorLayout.Contiguous(heads, queries, headSize),
            Key = TensorLayout.Contiguous(keyValueHeads, keys, headSize),
            Value = TensorLayout.Contiguous(keyValueHeads, keys, valueSize),
            Output = TensorLayout.Contiguous(heads, queries, valueSize),
            Sequence = new Sequence { QueryLength = queries, KeyLength = keys },
        };
}
