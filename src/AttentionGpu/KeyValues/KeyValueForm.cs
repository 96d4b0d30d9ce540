using AttentionGpu.Elements;

namespace AttentionGpu.KeyValues;

/// <summary>How the rows of keys and values are found.</summary>
internal enum KeyValueRows
{
    /// <summary>A stride apart, from a first row on.</summary>
    Contiguous,

    /// <summary>
    /// In pages of 2^n rows: row r of a call's sequences is row r mod 2^n of page <c>pages[r / 2^n]</c>. The layout's batch stride is that
    /// from one page to the next, its head stride that of heads within a page. The page table is one for all sequences: each starts at a
    /// multiple of 2^n.
    /// </summary>
    Paged,
}

/// <summary>
/// How keys and values are stored: an element type of their own, and how their rows are found. A part of the key of a plan.
/// </summary>
/// <remarks>
/// Layouts of keys and values count elements, and where elements are quantised they count rows: a row has
/// <see cref="KeyValueElements.RowBytes"/> bytes, and its scales are the row's of a memory beside. An <see cref="KeyValueElement.Int4"/>
/// byte has the even element in its lower half, as two's complement.
/// </remarks>
/// <param name="Element">The element type.</param>
/// <param name="Rows">How rows are found.</param>
/// <param name="IsLatent">
/// Whether values are the first elements of the keys' rows, in the same memory (multi-head latent attention, DeepSeek-V2).
/// </param>
internal readonly record struct KeyValueForm(
    KeyValueElement Element, KeyValueRows Rows = KeyValueRows.Contiguous, bool IsLatent = false)
{
    /// <summary>Contiguous rows of a tensor's element type.</summary>
    public KeyValueForm(ElementType element)
        : this(KeyValueElements.Of(element))
    {
    }

    /// <summary>The exception for a kind of rows that does not exist.</summary>
    public ArgumentOutOfRangeException UnknownRows() => new(nameof(Rows), Rows, "There is no such kind of rows.");

    /// <summary>Elements of the stored row of a value.</summary>
    public int StoredValueSize(int headSize, int valueHeadSize) => IsLatent ? headSize : valueHeadSize;
}
