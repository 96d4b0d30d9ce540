using AttentionGpu.Backends;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Support;

/// <summary>Attention for plans that a test makes itself: dense tensors [batch, heads, length, size], scale 1, float32.</summary>
internal readonly record struct ContiguousProblem(AttentionSignature Signature, AttentionExtent Extent)
{
    public static ContiguousProblem Attention(int heads, int queries, int keys, int size) => Attention(1, heads, heads, queries, keys, size, size);

    public static ContiguousProblem Attention(
        int batch, int heads, int keyValueHeads, int queries, int keys, int headSize, int valueSize) => new(
            new AttentionSignature
            {
                Element = ElementType.Float32,
                KeyValue = new KeyValueForm(ElementType.Float32),
                HeadSize = headSize,
                ValueHeadSize = valueSize,
                GroupSize = heads / keyValueHeads,
            },
            new AttentionExtent
            {
                Batch = batch,
                Heads = heads,
                KeyValueHeads = keyValueHeads,
                Scale = 1f,
                Query = TensorLayout.Contiguous(heads, queries, headSize),
                Key = TensorLayout.Contiguous(keyValueHeads, keys, headSize),
                Value = TensorLayout.Contiguous(keyValueHeads, keys, valueSize),
                Output = TensorLayout.Contiguous(heads, queries, valueSize),
                Sequence = new Sequence { QueryLength = queries, KeyLength = keys },
            });

    /// <summary>Runs it with a workspace of its own.</summary>
    public void Run(IBackend backend, in AttentionBuffers buffers)
    {
        IPlan<AttentionExtent, AttentionBuffers> plan = backend.Operators.Plan<AttentionSignature, AttentionExtent, AttentionBuffers>(Signature);
        long bytes = plan.WorkspaceBytes(Extent);
        DeviceMemory workspace = bytes == 0 ? default : backend.Memory.Rent(bytes);
        plan.Execute(Extent, buffers, workspace);
        if (bytes != 0)
            backend.Memory.Return(workspace);
    }
}
