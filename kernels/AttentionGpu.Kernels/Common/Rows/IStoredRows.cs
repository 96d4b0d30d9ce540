using AttentionGpu.Kernels.Common.Fragments;

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

    /// <summary>The address of a row of the matrix of a head, where no heads share one.</summary>
    long Address(int batch, int head, int row);

    /// <summary>
    /// The scale of a group, as it is stored: 0 where all elements are 0, NaN where one is not finite or the scale is too large.
    /// </summary>
    /// <param name="largest">The largest size of the group's elements; infinite where one is not finite.</param>
    static abstract float Scale(float largest);

    /// <summary>Stores the scale of a group of a row.</summary>
    void StoreScale(long address, int group, float scale);

    /// <summary>Stores four neighbouring elements of a row, or as many as there are.</summary>
    /// <param name="address">What <see cref="IMatrixRows.Row"/> returned.</param>
    /// <param name="column">The first element's place in the row; a multiple of four.</param>
    /// <param name="values">The elements; 0 where the row has none.</param>
    /// <param name="count">How many the row has from there on; at least 1.</param>
    /// <param name="isAligned">Whether rows have a multiple of four elements, and start at a multiple of the size of four.</param>
    /// <param name="scale">What <see cref="Scale"/> returned.</param>
    void Store(long address, int column, Float4 values, int count, bool isAligned, float scale);
}
