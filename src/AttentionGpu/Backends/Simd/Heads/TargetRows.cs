using AttentionGpu.Backends.Simd.Attention;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>Where a head transform stores its rows: a tensor, or a cache of any form.</summary>
internal readonly unsafe struct TargetRows(HeadTransformSignature signature, in HeadTransformExtent extent, in HeadTransformBuffers buffers)
{
    private readonly KeyValueElement _element = signature.Target.Element;
    private readonly KeyValueView _view = new(
        buffers.Target, buffers.TargetScales, buffers.Pages, signature.Target, extent.Target, extent.PageShift, signature.Size,
        signature.Size);

    /// <summary>Whether rows of an element type are stored as they are.</summary>
    public bool IsCopyOf(Elements.ElementType source) => !_element.IsQuantised() && _element.Plain() == source;

    /// <summary>Stores a row of floats.</summary>
    public void Store(int batch, int head, int row, float* values)
    {
        StoredRows target = _view.Rows(batch, head, row, 1);
        if (_element.IsQuantised())
            QuantisedStore.Row(values, signature.Size, _element, target.First, target.Scales);
        else
            ElementRows.Store(values, target.First, _element.Plain(), signature.Size);
    }

    /// <summary>Stores a row of the target's own elements.</summary>
    public void Copy(int batch, int head, int row, byte* source)
    {
        long bytes = _element.RowBytes(signature.Size);
        Buffer.MemoryCopy(source, _view.Rows(batch, head, row, 1).First, bytes, bytes);
    }
}
