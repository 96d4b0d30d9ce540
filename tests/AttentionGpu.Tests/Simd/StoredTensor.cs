using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.Simd;

/// <summary>Keys or values in a form, with the numbers that they stand for: [heads, rows, size] of one cache.</summary>
internal sealed unsafe class StoredTensor
{
    // What lies between the rows is never a number.
    private const byte Poison = 0xFF;

    private readonly PlanMemory _memory;
    private readonly KeyValueForm _form;
    private readonly int _heads;
    private readonly int _rows;
    private readonly int _pageShift;
    private readonly byte[] _bytes;
    private readonly byte[] _scaleBytes;
    private readonly double[][] _values;

    /// <param name="memory">Where memory comes from.</param>
    /// <param name="form">How rows are stored.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="rows">Rows of a head; a multiple of a page's where they are paged.</param>
    /// <param name="size">Elements of a row.</param>
    /// <param name="pages">The page table: numbers below its length plus <see cref="SparePages"/>; empty without pages.</param>
    /// <param name="pageShift">Rows of a page, as a power of two.</param>
    public StoredTensor(PlanMemory memory, KeyValueForm form, int heads, int rows, int size, int[] pages, int pageShift)
    {
        (_memory, _form, _heads, _rows, _pageShift, Size, Pages) = (memory, form, heads, rows, pageShift, size, pages);
        bool isPaged = form.Rows == KeyValueRows.Paged;
        int storedRows = isPaged ? (pages.Length + SparePages) << pageShift : rows;
        RowBytes = form.Element.RowBytes(size);
        ScaleBytes = form.Element.ScaleBytes(size);
        _bytes = new byte[(long)heads * storedRows * RowBytes];
        _scaleBytes = new byte[(long)heads * storedRows * ScaleBytes];
        Array.Fill(_bytes, Poison);
        Array.Fill(_scaleBytes, Poison);
        int unit = form.Element.IsQuantised() ? 1 : size;
        long run = isPaged ? 1L << pageShift : rows;
        Layout = new TensorLayout(isPaged ? heads * run * unit : 0, run * unit, unit);
        _values = new double[heads * rows][];
    }

    /// <summary>Pages that the table does not name.</summary>
    public const int SparePages = 3;

    public int Size { get; }

    public int[] Pages { get; }

    public int RowBytes { get; }

    public int ScaleBytes { get; }

    public TensorLayout Layout { get; }

    /// <summary>The numbers that a row stands for.</summary>
    public double[] Row(int head, int row) => _values[head * _rows + row];

    /// <summary>A shuffled page table for some rows.</summary>
    public static int[] ShuffledPages(Random random, KeyValueForm form, int rows, int pageShift)
    {
        if (form.Rows != KeyValueRows.Paged)
            return [];
        int[] all = [.. Enumerable.Range(0, (rows >> pageShift) + SparePages)];
        random.Shuffle(all);
        return all[..(rows >> pageShift)];
    }

    /// <summary>Where a row is among all stored rows.</summary>
    public long Index(int head, int row) => _form.Rows == KeyValueRows.Paged
        ? (((long)Pages[row >> _pageShift] * _heads + head) << _pageShift) + (row & ((1 << _pageShift) - 1))
        : (long)head * _rows + row;

    /// <summary>Stores a row.</summary>
    public void Set(int head, int row, float[] values)
    {
        (byte[] bytes, byte[] scales) = QuantisedDefinition.Encode(values, _form.Element);
        bytes.CopyTo(_bytes, Index(head, row) * RowBytes);
        scales.CopyTo(_scaleBytes, Index(head, row) * ScaleBytes);
        _values[head * _rows + row] = QuantisedDefinition.Decode(bytes, scales, _form.Element, Size);
    }

    /// <summary>Overwrites a byte of a row with a code.</summary>
    public void SetCode(int head, int row, int offset, byte code)
    {
        _bytes[Index(head, row) * RowBytes + offset] = code;
        byte[] bytes = _bytes[(int)(Index(head, row) * RowBytes)..][..RowBytes];
        byte[] scales = _scaleBytes[(int)(Index(head, row) * ScaleBytes)..][..ScaleBytes];
        _values[head * _rows + row] = QuantisedDefinition.Decode(bytes, scales, _form.Element, Size);
    }

    public DeviceMemory Memory() => _memory.Values(_bytes);

    public DeviceMemory Scales() => _memory.Values(_scaleBytes);
}
