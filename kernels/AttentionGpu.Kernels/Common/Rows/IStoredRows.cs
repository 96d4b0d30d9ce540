namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>
/// Rows of keys or values in the form of a cache, which are written as well as read. Quantised elements are multiples of a scale that a
/// group of neighbours shares, and that is stored beside the rows.
/// </summary>
public interface IStoredRows : IMatrixRows
{
    /// <summary>Whether elements are quantised.</summary>
    static abstract bool HasScales { get; }

    /// <summary>2 to the power of this elements share a scale; 30 where a whole row does.</summary>
    static abstract int GroupShift { get; }

    /// <summary>Elements that are stored at once; a power of two that divides a group.</summary>
    static abstract int StoreWidth { get; }

    /// <summary>
    /// The scale of a group, as it is stored: 0 where all elements are 0, NaN where one is not finite or the scale is too large.
    /// </summary>
    /// <param name="largest">The largest size of the group's elements; infinite where one is not finite.</param>
    static abstract float Scale(float largest);

    /// <summary>Stores the scale of a group of a row.</summary>
    void StoreScale(long address, int group, float scale);

    /// <summary>Stores <see cref="StoreWidth"/> elements of a row.</summary>
    /// <param name="address">What <see cref="IMatrixRows.Row"/> returned.</param>
    /// <param name="column">The first element's place in the row; a multiple of the step.</param>
    /// <param name="first">The first element.</param>
    /// <param name="second">The second; 0 where the row has none, and not stored where the step is 1.</param>
    /// <param name="scale">What <see cref="Scale"/> returned.</param>
    void Store(long address, int column, float first, float second, float scale);
}
