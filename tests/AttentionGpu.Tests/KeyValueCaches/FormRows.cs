using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Problems;

namespace AttentionGpu.Tests.KeyValueCaches;

/// <summary>
/// The keys, or the values, of the sequences of a cache, in host memory as a device has them: in pages in a random order or one sequence
/// after another, with not-a-number where nothing is stored.
/// </summary>
internal sealed class FormRows
{
    private readonly KeyValueForm _form;
    private readonly int _heads;
    private readonly int _size;
    private readonly int _capacity;

    private FormRows(KeyValueForm form, int heads, int size, int capacity, int pageShift, int[] pages, int blocks)
    {
        _form = form;
        _heads = heads;
        _size = size;
        _capacity = capacity;
        PageShift = pageShift;
        Pages = pages;
        Elements = new byte[blocks * heads * BlockRows * form.Element.RowBytes(size)];
        Scales = new byte[Math.Max(1, blocks * heads * BlockRows * form.Element.ScaleBytes(size))];
        Array.Fill(Elements, byte.MaxValue);
        Array.Fill(Scales, byte.MaxValue);
    }

    public int PageShift { get; }

    public int[] Pages { get; }

    public byte[] Elements { get; }

    public byte[] Scales { get; }

    public TensorLayout Layout
    {
        get
        {
            int row = _form.Element.IsQuantised() ? 1 : _size;
            long head = (long)BlockRows * row;
            return new TensorLayout(_form.Rows == KeyValueRows.Paged ? head * _heads : 0, head, row);
        }
    }

    // Rows of a head that lie together: of a page, or of a sequence.
    private int BlockRows => _form.Rows == KeyValueRows.Paged ? 1 << PageShift : _capacity;

    /// <summary>Room for sequences of a length at most.</summary>
    public static FormRows Random(Random random, KeyValueForm form, int sequences, int heads, int size, int capacity)
    {
        if (form.Rows == KeyValueRows.Contiguous)
            return new FormRows(form, heads, size, capacity, 0, [0], sequences);
        int shift = random.Next(0, 6);
        int pages = sequences * PagesOf(capacity, shift);
        int[] numbers = [.. Enumerable.Range(0, pages + 3)];
        random.Shuffle(numbers);
        return new FormRows(form, heads, size, capacity, shift, numbers[..pages], pages + 3);
    }

    /// <summary>The same places for rows of another size.</summary>
    public FormRows Beside(int size) =>
        new(_form, _heads, size, _capacity, PageShift, Pages, Elements.Length / (_heads * BlockRows * _form.Element.RowBytes(_size)));

    /// <summary>The row that a sequence starts at, as <see cref="Sequence.KeyStart"/> counts.</summary>
    public int Start(int sequence) => _form.Rows == KeyValueRows.Paged
        ? sequence * PagesOf(_capacity, PageShift) << PageShift
        : sequence * _heads * _capacity;

    public FormRow this[int head, int row]
    {
        get => new(_form.Element, Bytes(Elements, head, row, RowBytes), Bytes(Scales, head, row, ScaleBytes));
        set
        {
            value.Bytes.CopyTo(Bytes(Elements, head, row, RowBytes));
            value.Scales.CopyTo(Bytes(Scales, head, row, ScaleBytes));
        }
    }

    /// <summary>What a device has made of it.</summary>
    public FormRows With(byte[] elements, byte[] scales)
    {
        FormRows other = Beside(_size);
        elements.AsSpan(0, Elements.Length).CopyTo(other.Elements);
        scales.AsSpan(0, Scales.Length).CopyTo(other.Scales);
        return other;
    }

    private int RowBytes => _form.Element.RowBytes(_size);

    private int ScaleBytes => _form.Element.ScaleBytes(_size);

    private static int PagesOf(int rows, int shift) => (rows + (1 << shift) - 1) >> shift;

    // The number of a row in memory, with all heads' rows counted.
    private Span<byte> Bytes(byte[] memory, int head, int row, int rowBytes)
    {
        int block = _form.Rows == KeyValueRows.Paged ? Pages[row >> PageShift] : row / (_heads * _capacity);
        int within = _form.Rows == KeyValueRows.Paged ? row & (BlockRows - 1) : row % (_heads * _capacity);
        return memory.AsSpan(((block * _heads + head) * BlockRows + within) * rowBytes, rowBytes);
    }
}
