using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Kernels.Common.Sequences;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// A block of queries of one head, its running softmax, and the memory for both. Queries are in the lanes: every panel is
/// [something, lanes].
/// </summary>
internal unsafe struct QueryBlock
{
    // Maxima, the maxima before the block of keys, totals, factors.
    private const int LaneVectors = 4;

    /// <summary>The scaled queries: [head size, lanes].</summary>
    public float* Panel;

    /// <summary>The outputs so far: [value head size, lanes].</summary>
    public float* Sums;

    /// <summary>The scores of a block of keys, then their weights: [keys, lanes].</summary>
    public float* Scores;

    /// <summary>What a mask adds to the scores: [keys, lanes], or [keys] where it is the same for all queries.</summary>
    public float* Mask;

    /// <summary>A mask's rows before they are transposed, and rows of weights after: [lanes, keys].</summary>
    public float* Rows;

    /// <summary>The largest score of each lane.</summary>
    public float* Maxima;

    /// <summary>The same before the current block of keys.</summary>
    public float* OldMaxima;

    /// <summary>
    /// The sum of the weights of each lane; -0 until the lane has looked at a key, hidden or not. A sum of 0 is ambiguous: all keys are
    /// hidden, or their scores have overflowed to -inf. Such a lane is computed again.
    /// </summary>
    public float* Totals;

    /// <summary>By how much a block of keys shrinks what came before.</summary>
    public float* Factors;

    /// <summary>The float64 sums; there are none where the keys are few.</summary>
    public WideSums Wide;

    /// <summary>What the thread is likely to read next.</summary>
    public Lookahead* Ahead;

    /// <summary>Rows that are converted to floats on load, or from floats on store.</summary>
    public float* Converted;

    /// <summary>The lengths and positions of the batch entry.</summary>
    public Sequence Sequence;

    public int Batch;
    public int Head;

    /// <summary>The first query, counted from the sequence's.</summary>
    public int FirstQuery;

    /// <summary>Queries in the block; lanes beyond them are zeros.</summary>
    public int Queries;

    /// <summary>Lanes of every panel.</summary>
    public int Lanes;

    /// <summary>Floats of what a block keeps from key to key.</summary>
    public static long StateSize(int lanes, int headSize, int valueHeadSize, bool isWide) =>
        (long)lanes * (headSize + valueHeadSize + LaneVectors) + (isWide ? WideSums.Size(lanes, valueHeadSize) : 0);

    /// <summary>
    /// Floats of what several blocks can use in turn: the scores of a block of keys, the panels of a mask or of weights, and converted
    /// rows.
    /// </summary>
    /// <param name="lanes">Lanes of a panel.</param>
    /// <param name="blockKeys">Keys of a block.</param>
    /// <param name="needsRows">Whether there is a mask, or weights.</param>
    /// <param name="convertedSize">Elements of a converted row; 0 where nothing is converted.</param>
    public static long ScratchSize(int lanes, int blockKeys, bool needsRows, int convertedSize) =>
        (long)lanes * blockKeys * (needsRows ? 3 : 1) + (long)Math.Max(lanes, blockKeys) * convertedSize;

    /// <summary>Cuts memory into the panels.</summary>
    public void Place(float* state, float* scratch, int headSize, int valueHeadSize, int blockKeys, bool needsRows, bool isWide)
    {
        Maxima = state;
        OldMaxima = Maxima + Lanes;
        Totals = OldMaxima + Lanes;
        Factors = Totals + Lanes;
        Panel = Factors + Lanes;
        Sums = Panel + (nint)Lanes * headSize;
        if (isWide)
            Wide = WideSums.Begin(Sums + (nint)Lanes * valueHeadSize, Lanes, valueHeadSize);
        Scores = scratch;
        Mask = Scores + (nint)Lanes * blockKeys;
        Rows = Mask + (nint)Lanes * blockKeys;
        Converted = needsRows ? Rows + (nint)Lanes * blockKeys : Mask;
    }
}
