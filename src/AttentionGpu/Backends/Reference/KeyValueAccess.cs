using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Single elements and rows of keys or values, wherever the rows lie and however they are stored.</summary>
/// <param name="memory">The rows.</param>
/// <param name="scales">Their scales, where they are quantised.</param>
/// <param name="pages">The page table, where they are paged.</param>
/// <param name="form">How they are stored.</param>
/// <param name="layout">Where they lie.</param>
/// <param name="pageShift">A page has 2 to the power of this rows.</param>
/// <param name="size">Elements of a stored row.</param>
internal readonly unsafe struct KeyValueAccess(
    DeviceMemory memory, DeviceMemory scales, DeviceMemory pages, KeyValueForm form, TensorLayout layout, int pageShift, int size)
{
    /// <summary>An element of a row.</summary>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The key/value head.</param>
    /// <param name="row">The row, from the first of the tensor on.</param>
    /// <param name="element">The element of the row.</param>
    public double this[int batch, int head, int row, int element]
    {
        get
        {
            long offset = Offset(batch, head, row);
            return form.Element.IsQuantised()
                ? QuantisedRow.Decode(RowBytes(offset), RowScales(offset), form.Element, element)
                : new ElementAccess(memory, form.Element.Plain())[offset + element];
        }
    }

    /// <summary>Writes a row. Parameters as for the element.</summary>
    public void Write(int batch, int head, int row, ReadOnlySpan<double> values)
    {
        long offset = Offset(batch, head, row);
        if (!form.Element.IsQuantised())
        {
            var target = new ElementAccess(memory, form.Element.Plain());
            for (int i = 0; i < values.Length; i++)
                target[offset + i] = values[i];
            return;
        }

        float[] singles = new float[values.Length];
        for (int i = 0; i < singles.Length; i++)
            singles[i] = (float)values[i];
        QuantisedRow.Encode(singles, form.Element, RowBytes(offset), RowScales(offset));
    }

    private long Offset(int batch, int head, int row)
    {
        switch (form.Rows)
        {
            case KeyValueRows.Contiguous:
                return layout.Offset(batch, head, row);
            case KeyValueRows.Paged:
                int page = pages.Pointer<int>()[row >> pageShift];
                return layout.Offset(page, head, row & ((1 << pageShift) - 1));
            default:
                throw form.UnknownRows();
        }
    }

    private byte* RowBytes(long row) => memory.Pointer<byte>() + row * form.Element.RowBytes(size);

    private byte* RowScales(long row) => scales.Pointer<byte>() + row * form.Element.ScaleBytes(size);
}
