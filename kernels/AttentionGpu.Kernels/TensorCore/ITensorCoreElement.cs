namespace AttentionGpu.Kernels.TensorCore;

/// <summary>
/// Products on tensor cores for one element type, of 16 bits: <c>mma.sync.aligned.m16n8k16</c> with float32 accumulators (PTX ISA). A warp
/// calls each together. Addresses are in shared memory, of the 16 bytes whose row the thread names for <c>ldmatrix</c>.
/// </summary>
public interface ITensorCoreElement
{
    /// <summary>
    /// Adds a step of 16 of the head size to the scores of 16 queries and 32 keys: 3 <c>ldmatrix</c>, 4 <c>mma.sync</c>.
    /// </summary>
    /// <param name="query">The queries' rows.</param>
    /// <param name="key0">The rows of the first 16 keys.</param>
    /// <param name="key1">The rows of the second 16 keys.</param>
    static abstract void Scores(int query, int key0, int key1);

    /// <summary>Puts 0 in place of each of two neighbouring elements in shared memory that is infinite or NaN.</summary>
    static abstract void KeepFinite(int address);

    /// <summary>The weights of the first 16 keys become the left operand of <see cref="ValuesLow"/> and <see cref="ValuesHigh"/>.</summary>
    static abstract void PackLow();

    /// <summary>The weights of the second 16 keys do.</summary>
    static abstract void PackHigh();

    /// <summary>
    /// Adds the packed weights times 16 keys' first 64 columns to the outputs: 4 <c>ldmatrix</c>, 8 <c>mma.sync</c>. A parameter names 16
    /// columns.
    /// </summary>
    static abstract void ValuesLow(int value0, int value1, int value2, int value3);

    /// <summary>The same for the second 64 columns.</summary>
    static abstract void ValuesHigh(int value0, int value1, int value2, int value3);

    /// <summary>Multiplies the first 64 columns of the thread's two rows by their factors and writes them, as many as there are.</summary>
    /// <param name="row0">The address of the thread's first element in its first row.</param>
    /// <param name="row1">The same in its second row.</param>
    /// <param name="columns0">Columns of the first row; 0 where there is none.</param>
    /// <param name="columns1">Columns of the second row.</param>
    static abstract void StoreLow(long row0, long row1, int columns0, int columns1);

    /// <summary>The same for the second 64 columns.</summary>
    static abstract void StoreHigh(long row0, long row1, int columns0, int columns1);

    /// <summary>
    /// Writes columns 0 to 31 of the thread's two rows, as many as there are, in pieces of 8 columns that lie apart.
    /// <see cref="TensorCoreText.DeclareAddress"/> must stand before it.
    /// </summary>
    /// <param name="row0">The address of the first row.</param>
    /// <param name="row1">The address of the second row.</param>
    /// <param name="columns0">Columns of the first row; 0 where there is none.</param>
    /// <param name="columns1">Columns of the second row.</param>
    /// <param name="piece0">Bytes from the start of a row to the thread's first element of the first piece.</param>
    /// <param name="piece1">The same of the second piece.</param>
    /// <param name="piece2">The same of the third piece.</param>
    /// <param name="piece3">The same of the fourth piece.</param>
    static abstract void StorePieces0(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3);

    /// <summary>The same for columns 32 to 63.</summary>
    static abstract void StorePieces4(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3);

    /// <summary>The same for columns 64 to 95.</summary>
    static abstract void StorePieces8(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3);

    /// <summary>The same for columns 96 to 127.</summary>
    static abstract void StorePieces12(
        long row0, long row1, int columns0, int columns1, long piece0, long piece1, long piece2, long piece3);

    /// <summary>
    /// Adds a step of 16 of the depth to a product's 16 rows by 128 columns, which are the outputs' registers: 9 <c>ldmatrix</c>, 16
    /// <c>mma.sync</c>. Rows in shared memory have 128 bytes.
    /// </summary>
    /// <param name="left">The left operand's rows.</param>
    /// <param name="right">The rows of the right operand's first 16; the others follow.</param>
    static abstract void Products(int left, int right);

    /// <summary>The outputs' registers become a bias, the same in both rows; 0 from a column on.</summary>
    /// <param name="bias">The address of the thread's first element.</param>
    /// <param name="columns">Columns that there are; 0 without a bias.</param>
    static abstract void StartWith(long bias, int columns);
}
