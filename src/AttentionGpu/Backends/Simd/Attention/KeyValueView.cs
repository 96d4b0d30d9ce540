using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Stored;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The keys or the values of a call, or a cache that rows are appended to: the one place that knows how they are stored and where their
/// rows lie. Kernels ask for rows and take as many as lie a stride apart, so that other forms change no kernel.
/// </summary>
internal readonly unsafe struct KeyValueView
{
    // Of floats in shorter runs the rows that are wanted are put together: a tile's sums are read and written once a run.
    private const int ShortestRun = 64;

    private readonly byte* _memory;
    private readonly byte* _scales;
    private readonly int* _pages;
    private readonly KeyValueElement _element;
    private readonly TensorLayout _layout;
    private readonly int _unitBytes;
    private readonly int _rowBytes;
    private readonly int _unitScaleBytes;
    private readonly int _size;
    private readonly int _longestRun;
    private readonly int _pageShift;
    private readonly int _pageMask;
    private readonly bool _joinsPages;

    /// <param name="memory">The memory of all rows.</param>
    /// <param name="scales">The memory of their scales, where they are quantised.</param>
    /// <param name="pages">The numbers of their pages, where they are paged.</param>
    /// <param name="form">How they are stored.</param>
    /// <param name="layout">Where they lie.</param>
    /// <param name="pageShift">Where they are paged, a page has 2 to the power of this rows.</param>
    /// <param name="size">Elements of a row that are looked at.</param>
    /// <param name="storedSize">Elements of a row.</param>
    /// <param name="longestRun">Most rows that are given at once.</param>
    public KeyValueView(
        DeviceMemory memory, DeviceMemory scales, DeviceMemory pages, KeyValueForm form, in TensorLayout layout, int pageShift,
        int size, int storedSize, int longestRun = int.MaxValue)
    {
        _element = form.Element;
        _memory = memory.Pointer<byte>();
        _unitBytes = _element.RowBytes(_element.IsQuantised() ? storedSize : 1);
        if (_element.IsQuantised())
        {
            _scales = scales.Pointer<byte>();
            _unitScaleBytes = _element.ScaleBytes(storedSize);
        }

        _rowBytes = _element.RowBytes(size);
        _layout = layout;
        _size = size;
        _longestRun = longestRun;
        if (form.Rows == KeyValueRows.Paged)
        {
            _pages = pages.Pointer<int>();
            _pageShift = pageShift;
            _pageMask = (1 << pageShift) - 1;
            _joinsPages = layout.BatchStride == layout.RowStride << pageShift;
        }
    }

    /// <summary>Whether rows of a form are converted, or put together, before a kernel that asks for floats reads them.</summary>
    public static bool NeedsRoom(KeyValueForm form) => form.Element != KeyValueElement.Float32 || form.Rows != KeyValueRows.Contiguous;

    /// <summary>Whether this class reads a form.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not.</exception>
    public static void Require(KeyValueForm form)
    {
        _ = form.Element.IsQuantised();
        if (form.Rows is not (KeyValueRows.Contiguous or KeyValueRows.Paged))
            throw form.UnknownRows();
    }

    /// <summary>Rows as they are stored.</summary>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The key/value head.</param>
    /// <param name="row">The first row, counted from the tensor's.</param>
    /// <param name="count">The rows that are wanted; at least 1.</param>
    /// <returns>Those wanted, or those up to the end of a run: of a page, or of pages that follow each other.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public StoredRows Rows(int batch, int head, int row, int count)
    {
        count = Math.Min(count, _longestRun);
        long offset;
        if (_pages == null)
        {
            offset = _layout.Offset(batch, head, row);
        }
        else
        {
            int* page = _pages + (row >> _pageShift);
            int inPage = row & _pageMask;
            offset = _layout.Offset(*page, head, inPage);
            count = Math.Min(count, RunFrom(page, inPage, count));
        }

        return new StoredRows
        {
            First = _memory + offset * _unitBytes,
            Stride = (nint)_layout.RowStride * _unitBytes,
            Scales = _scales + offset * _unitScaleBytes,
            ScaleStride = (nint)_layout.RowStride * _unitScaleBytes,
            Count = count,
            Bytes = _rowBytes,
        };
    }

    // Rows of a page and of those behind it that follow in memory too; no more pages are looked at than are wanted.
    private int RunFrom(int* page, int inPage, int wanted)
    {
        int rows = _pageMask + 1 - inPage;
        if (_joinsPages)
        {
            for (; rows < wanted && page[1] == page[0] + 1; page++)
                rows += _pageMask + 1;
        }

        return rows;
    }

    /// <summary>Rows as floats: where they lie if they are floats in long runs, else converted, or put together.</summary>
    /// <param name="batch">The batch entry.</param>
    /// <param name="head">The key/value head.</param>
    /// <param name="row">The first row, counted from the tensor's.</param>
    /// <param name="count">The rows that are wanted; at least 1.</param>
    /// <param name="room">Room for so many rows.</param>
    /// <param name="rows">The first of the rows.</param>
    /// <param name="stride">Floats from one to the next.</param>
    /// <returns>How many there are: those wanted, or those up to the end of a run.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Read(int batch, int head, int row, int count, float* room, out float* rows, out nint stride)
    {
        count = Math.Min(count, _longestRun);
        if (_element == KeyValueElement.Float32)
        {
            StoredRows run = Rows(batch, head, row, count);
            if (run.Count == count || run.Count >= ShortestRun)
            {
                rows = (float*)run.First;
                stride = (nint)_layout.RowStride;
                return run.Count;
            }
        }

        Convert(batch, head, row, count, room);
        rows = room;
        stride = _size;
        return count;
    }

    private void Convert(int batch, int head, int row, int count, float* room)
    {
        while (count > 0)
        {
            StoredRows run = Rows(batch, head, row, count);
            StoredConversion.Load(run, _element, _size, room);
            room += (nint)run.Count * _size;
            row += run.Count;
            count -= run.Count;
        }
    }
}
