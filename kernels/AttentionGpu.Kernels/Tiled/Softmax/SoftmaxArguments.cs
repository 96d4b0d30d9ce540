using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Sequences;
using ILGPU;

namespace AttentionGpu.Kernels.Tiled.Softmax;

/// <summary>
/// The sizes of a stack of score matrices [batch, heads, queries, keys], contiguous, and how a group of threads shares its rows.
/// </summary>
public struct SoftmaxArguments
{
    /// <summary>Query heads in a batch entry.</summary>
    public int Heads;

    /// <summary>Rows of a matrix.</summary>
    public int QueryLength;

    /// <summary>Columns of a matrix.</summary>
    public int KeyLength;

    /// <summary>Every batch entry's lengths and positions, unless there is a table.</summary>
    public Sequence Sequence;

    /// <summary>Not 0 where the batch entries' sequences come from a table.</summary>
    public int HasSequences;

    /// <summary>Not 0 where each head has a sink.</summary>
    public int HasSinks;

    /// <summary>Rows of the stack.</summary>
    public int Rows;

    /// <summary>2 to the power of this neighbouring threads share a row.</summary>
    public int LaneShift;

    /// <summary>Not 0 where a row has a multiple of four keys, and all memory starts at a multiple of the size of four elements.</summary>
    public int IsAligned;

    /// <summary>The head of a row of the stack.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly SequenceHead Head(int row, ArrayView<Sequence> sequences)
    {
        int matrix = row / QueryLength;
        int batch = matrix / Heads;
        return new SequenceHead
        {
            Batch = batch,
            Head = matrix - batch * Heads,
            Sequence = HasSequences != 0 ? sequences[batch] : Sequence,
        };
    }
}
