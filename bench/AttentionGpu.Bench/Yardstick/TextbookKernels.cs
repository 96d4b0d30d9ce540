using ILGPU;
using ILGPU.Algorithms;

namespace AttentionGpu.Bench.Yardstick;

/// <summary>Kernels as a first lesson writes them: what the engine's are measured against on devices that no other library runs on.</summary>
public static class TextbookKernels
{
    /// <summary>Rows and columns of a tile of <see cref="Multiply"/>.</summary>
    public const int Tile = 16;

    /// <summary>
    /// <c>result = left * right^T</c> of square matrices, whose size is a multiple of 16: one thread an element, 16 x 16 a group, both tiles in shared
    /// memory.
    /// </summary>
    public static void Multiply(ArrayView<float> left, ArrayView<float> right, ArrayView<float> result, int size)
    {
        ArrayView<float> leftTile = SharedMemory.Allocate<float>(Tile * Tile);
        ArrayView<float> rightTile = SharedMemory.Allocate<float>(Tile * Tile);
        int row = Group.IdxY;
        int column = Group.IdxX;
        int resultRow = Grid.IdxY * Tile + row;
        int firstColumn = Grid.IdxX * Tile;
        float sum = 0f;
        for (int depth = 0; depth < size; depth += Tile)
        {
            leftTile[row * Tile + column] = left[resultRow * size + depth + column];
            rightTile[row * Tile + column] = right[(firstColumn + row) * size + depth + column];
            Group.Barrier();
            for (int i = 0; i < Tile; i++)
                sum += leftTile[row * Tile + i] * rightTile[column * Tile + i];
            Group.Barrier();
        }

        result[resultRow * size + firstColumn + column] = sum;
    }

    /// <summary>
    /// Attention, one thread a query, three passes over its keys: scores and their maximum, exponentials and their sum, values. A row of scores lies
    /// in memory.
    /// </summary>
    public static void Attend(
        ArrayView<float> query, ArrayView<float> key, ArrayView<float> value, ArrayView<float> output, ArrayView<float> scores, int length, int headSize)
    {
        int row = Grid.GlobalIndex.X;
        int head = row / length * length * headSize;
        int first = row * length;
        float scale = 1f / XMath.Sqrt((float)headSize);
        float maximum = float.NegativeInfinity;
        for (int i = 0; i < length; i++)
        {
            float score = 0f;
            for (int d = 0; d < headSize; d++)
                score += query[row * headSize + d] * key[head + i * headSize + d];
            score *= scale;
            scores[first + i] = score;
            maximum = XMath.Max(maximum, score);
        }

        float sum = 0f;
        for (int i = 0; i < length; i++)
        {
            float weight = XMath.Exp(scores[first + i] - maximum);
            scores[first + i] = weight;
            sum += weight;
        }

        for (int d = 0; d < headSize; d++)
        {
            float total = 0f;
            for (int i = 0; i < length; i++)
                total += scores[first + i] * value[head + i * headSize + d];
            output[row * headSize + d] = total / sum;
        }
    }
}
