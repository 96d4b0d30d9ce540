namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>
/// The rows of a batch of matrices that a kernel reads, wherever they lie and however they are stored: keys and values above all, and also
/// queries and the operands of products. Kernels are generic over it. Another way to keep keys and values (pages, fewer bits with scales)
/// is another struct, and changes no kernel. An address means what its struct wants it to mean.
/// </summary>
public interface IMatrixRows
{
    /// <summary>The address of a row of a matrix; asked for once a group of threads.</summary>
    /// <param name="matrix">The matrix of the batch.</param>
    /// <param name="firstRow">The row from which <see cref="Row"/> counts: where a sequence starts.</param>
    long Origin(int matrix, int firstRow);

    /// <summary>The origin that counts from <paramref name="rows"/> rows later: a loop over rows carries it.</summary>
    long Skip(long origin, int rows);

    /// <summary>The address of the row that comes <paramref name="row"/> rows after the origin.</summary>
    long Row(long origin, int row);

    /// <summary>An element of a row.</summary>
    /// <param name="address">What <see cref="Row"/> returned.</param>
    /// <param name="column">The element's place in the row.</param>
    float Load(long address, int column);
}
