using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Rows;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Accelerator;

/// <summary>The memory of keys or values of a call.</summary>
/// <param name="Elements">Their elements.</param>
/// <param name="Scales">The scales of their rows, where they are quantised.</param>
/// <param name="Pages">The number of each page, where they are paged.</param>
/// <param name="PageShift">A page has 2 to the power of this rows.</param>
/// <param name="Layout">Where rows lie.</param>
/// <param name="Size">Elements of a stored row.</param>
internal readonly record struct RowMemory(
    DeviceMemory Elements, DeviceMemory Scales, DeviceMemory Pages, int PageShift, TensorLayout Layout, int Size);

/// <summary>Makes the rows that kernels read and write from a call's memory: one class for each way to store them.</summary>
internal interface IRowBinder<TRows>
    where TRows : struct, IMatrixRows
{
    /// <summary>The rows, as the matrices of a grid of heads.</summary>
    /// <param name="memory">The call's memory.</param>
    /// <param name="heads">Heads of the grid in a batch entry: those of queries, or those of keys and values.</param>
    /// <param name="headsPerMatrix">Heads of the grid that share a matrix.</param>
    TRows Rows(in RowMemory memory, int heads, int headsPerMatrix);
}

/// <summary>Does a job for a form of keys and values that is known at run time only.</summary>
internal interface IRowVisitor<TResult>
{
    /// <summary>Does it for the kernels' struct of the form.</summary>
    TResult Visit<TRows>(IRowBinder<TRows> binder)
        where TRows : struct, IStoredRows;
}

/// <summary>The one dispatch over forms of keys and values on an accelerator.</summary>
internal static class RowBinder
{
    /// <summary>Calls the visitor with the kernels' struct of a form.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such form.</exception>
    public static TResult Visit<TResult>(KeyValueForm form, KernelLoader loader, IRowVisitor<TResult> visitor) => form.Element switch
    {
        KeyValueElement.Float32 => VisitRows(form, new TensorRowBinder<SingleElement>(), visitor),
        KeyValueElement.Float16 when loader.Tiles.HasNativeHalf => VisitRows(form, new TensorRowBinder<NativeHalfElement>(), visitor),
        KeyValueElement.Float16 => VisitRows(form, new TensorRowBinder<HalfElement>(), visitor),
        KeyValueElement.BFloat16 => VisitRows(form, new TensorRowBinder<BFloat16Element>(), visitor),
        KeyValueElement.Int8 => VisitRows(form, new ByteRowBinder<Int8Element>(), visitor),
        KeyValueElement.Float8E4M3 => VisitRows(form, new ByteRowBinder<Float8Element>(), visitor),
        KeyValueElement.Int4 => VisitRows(form, new Int4RowBinder(), visitor),
        _ => throw KeyValueElements.Unknown(form.Element),
    };

    private static TResult VisitRows<TRows, TResult>(KeyValueForm form, IRowBinder<TRows> binder, IRowVisitor<TResult> visitor)
        where TRows : struct, IStoredRows => form.Rows switch
        {
            KeyValueRows.Contiguous => visitor.Visit(binder),
            KeyValueRows.Paged => visitor.Visit(new PagedRowBinder<TRows>(binder)),
            _ => throw form.UnknownRows(),
        };
}

/// <summary>Rows of a tensor's element type.</summary>
internal sealed class TensorRowBinder<TElement> : IRowBinder<ContiguousRows<TElement>>
    where TElement : unmanaged, IElement<TElement>
{
    public ContiguousRows<TElement> Rows(in RowMemory memory, int heads, int headsPerMatrix) => new()
    {
        Elements = memory.Elements.View<TElement>(),
        Layout = AttentionLayouts.Rows(memory.Layout, heads, headsPerMatrix),
    };
}

/// <summary>Rows of an element a byte.</summary>
internal sealed class ByteRowBinder<TByte> : IRowBinder<ByteRows<TByte>>
    where TByte : struct, IByteElement
{
    public ByteRows<TByte> Rows(in RowMemory memory, int heads, int headsPerMatrix) => new()
    {
        Elements = memory.Elements.View<byte>(),
        Scales = memory.Scales.View<float>(),
        Layout = AttentionLayouts.Rows(memory.Layout, heads, headsPerMatrix),
        RowBytes = memory.Size,
    };
}

/// <summary>Rows of two elements a byte.</summary>
internal sealed class Int4RowBinder : IRowBinder<Int4Rows>
{
    public Int4Rows Rows(in RowMemory memory, int heads, int headsPerMatrix) => new()
    {
        Elements = memory.Elements.View<byte>(),
        Scales = memory.Scales.View<HalfElement>(),
        Layout = AttentionLayouts.Rows(memory.Layout, heads, headsPerMatrix),
        RowBytes = KeyValueElement.Int4.RowBytes(memory.Size),
        Groups = KeyValueElements.Int4Groups(memory.Size),
    };
}

/// <summary>Pages of rows.</summary>
internal sealed class PagedRowBinder<TRows>(IRowBinder<TRows> binder) : IRowBinder<PagedRows<TRows>>
    where TRows : struct, IStoredRows
{
    public PagedRows<TRows> Rows(in RowMemory memory, int heads, int headsPerMatrix) => new()
    {
        First = binder.Rows(memory with { Layout = memory.Layout with { BatchStride = 0 } }, heads, headsPerMatrix),
        Pages = memory.Pages.View<int>(),
        Shift = memory.PageShift,
        PageStride = memory.Layout.BatchStride,
    };
}
