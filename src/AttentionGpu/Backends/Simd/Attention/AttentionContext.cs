using AttentionGpu.Backends.Host;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>The call that an object of attention's work is on, for all kernels of the object: its sizes and its memory.</summary>
/// <param name="signature">The signature of the plan.</param>
/// <param name="longestRun">Most rows of keys or values that a kernel gets at once.</param>
internal sealed class AttentionContext(AttentionSignature signature, int longestRun = int.MaxValue)
{
    // Fields: a property would copy the whole of a struct for one of its members.
    internal readonly AttentionSignature Signature = signature;
    internal AttentionExtent Extent;
    internal AttentionBuffers Buffers;
    internal KeyValueView Keys;
    internal KeyValueView Values;
    internal KeyBounds Bounds;

    public void Begin(in AttentionExtent extent, in AttentionBuffers buffers)
    {
        Extent = extent;
        Buffers = buffers;
        KeyValueForm form = Signature.KeyValue;
        (int keySize, int valueSize) = (Signature.HeadSize, Signature.ValueHeadSize);
        Keys = new KeyValueView(
            buffers.Key, buffers.KeyScales, buffers.Pages, form, extent.Key, extent.PageShift, keySize, keySize, longestRun);
        Values = new KeyValueView(
            buffers.Value, buffers.ValueScales, buffers.Pages, form, extent.Value, extent.PageShift, valueSize,
            form.StoredValueSize(keySize, valueSize), longestRun);
        Bounds = new KeyBounds(Signature, extent.Window);
    }

    /// <summary>Lets go of the call's memory.</summary>
    public void End() => Buffers = default;

    /// <summary>A batch entry's sequence.</summary>
    public Sequence SequenceOf(int batch) => Buffers.SequenceOf(Signature, Extent, batch);

    /// <summary>A head's sink, or -inf.</summary>
    public float SinkOf(int head) => Buffers.SinkOf(Signature, head);
}
