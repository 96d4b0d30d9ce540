using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Single elements of keys or values, wherever their rows lie and however they are stored.</summary>
internal readonly struct KeyValueAccess(DeviceMemory memory, KeyValueForm form, TensorLayout layout)
{
    private readonly ElementAccess _elements = new(memory, form.Element.Plain());

    /// <summary>An element of a row.</summary>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The key/value head.</param>
    /// <param name="row">The row, from the first of the tensor on.</param>
    /// <param name="element">The element of the row.</param>
    public double this[int batch, int head, int row, int element] => form.Rows switch
    {
        KeyValueRows.Contiguous => _elements[layout.Offset(batch, head, row) + element],
        _ => throw form.UnknownRows(),
    };
}
