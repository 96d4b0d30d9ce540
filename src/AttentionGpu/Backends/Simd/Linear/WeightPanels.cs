using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Tiles;
using AttentionGpu.Elements;

namespace AttentionGpu.Backends.Simd.Linear;

/// <summary>A linear layer's weight as panels of floats: [depth, lanes], a column a lane, whatever it is stored as.</summary>
/// <param name="weight">The weight.</param>
/// <param name="element">How it is stored.</param>
/// <param name="isPanelled">Whether its memory is in panels already.</param>
/// <param name="columns">Its columns.</param>
/// <param name="depth">Its depth.</param>
/// <param name="lanes">Lanes of a panel.</param>
internal readonly unsafe struct WeightPanels(byte* weight, ElementType element, bool isPanelled, int columns, int depth, int lanes)
{
    /// <summary>Rows of a plain weight that are converted together.</summary>
    public const int RowsAtOnce = 4;

    /// <summary>A block of a panel: where it lies, or in <paramref name="memory"/>.</summary>
    /// <param name="panel">The number of the panel.</param>
    /// <param name="first">The first step of depth.</param>
    /// <param name="count">Steps.</param>
    /// <param name="memory">Room for the block.</param>
    /// <param name="rows">Room for <see cref="RowsAtOnce"/> rows of as many steps, for a plain weight of 16 bits.</param>
    public float* Read(int panel, int first, int count, float* memory, float* rows)
    {
        if (!isPanelled)
        {
            Pack(panel, first, count, memory, rows);
            return memory;
        }

        byte* block = weight + ((long)panel * depth + first) * lanes * element.Size();
        if (element == ElementType.Float32)
            return (float*)block;
        ElementRows.Load(block, element, memory, count * lanes);
        return memory;
    }

    /// <summary>Puts a block of a plain weight in a panel. Lanes beyond the last column are zeros.</summary>
    public void Pack(int panel, int first, int count, float* target, float* rows)
    {
        int column = panel * lanes;
        int present = Math.Min(lanes, columns - column);
        byte* source = weight + ((long)column * depth + first) * element.Size();
        long stride = (long)depth * element.Size();
        if (element != ElementType.Float32)
        {
            PackConverted(source, stride, present, count, target, rows);
            return;
        }

        float** pointers = stackalloc float*[present];
        for (int lane = 0; lane < present; lane++)
            pointers[lane] = (float*)(source + lane * stride);
        Panel.Pack(target, lanes, pointers, present, count, 1f);
    }

    // Four rows at a time: they are read again from L1.
    private void PackConverted(byte* source, long stride, int present, int count, float* target, float* rows)
    {
        for (int lane = 0; lane < lanes; lane += RowsAtOnce)
        {
            for (int row = 0; row < RowsAtOnce; row++)
            {
                float* converted = rows + row * count;
                if (lane + row < present)
                    ElementRows.Load(source + (lane + row) * stride, element, converted, count);
                else
                    new Span<float>(converted, count).Clear();
            }

            Panel.PackFour(target + lane, lanes, rows, rows + count, rows + 2 * count, rows + 3 * count, count, 1f);
        }
    }
}
