using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Host;

/// <summary>Small tables of a call, read in host memory.</summary>
internal static unsafe class HostBuffers
{
    /// <summary>A batch entry's sequence.</summary>
    public static Sequence SequenceOf(this in AttentionBuffers buffers, in AttentionSignature signature, in AttentionExtent extent, int batch) =>
        signature.HasSequences ? buffers.Sequences.Pointer<Sequence>()[batch] : extent.Sequence;

    /// <summary>A head's sink, or -inf.</summary>
    public static float SinkOf(this in AttentionBuffers buffers, in AttentionSignature signature, int head) =>
        signature.HasSinks ? buffers.Sinks.Pointer<float>()[head] : float.NegativeInfinity;
}
