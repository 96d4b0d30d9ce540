using AttentionGpu.Elements;

namespace AttentionGpu.KeyValues;

/// <summary>How the rows of keys and values are found.</summary>
internal enum KeyValueRows
{
    /// <summary>A stride apart, from a first row on.</summary>
    Contiguous,
}

/// <summary>
/// How keys and values are stored: an element type of their own, and how their rows are found. A part of the key of a plan.
/// </summary>
internal readonly record struct KeyValueForm(ElementType Element, KeyValueRows Rows = KeyValueRows.Contiguous)
{
    /// <summary>The exception for a kind of rows that does not exist.</summary>
    public ArgumentOutOfRangeException UnknownRows() => new(nameof(Rows), Rows, "There is no such kind of rows.");
}
