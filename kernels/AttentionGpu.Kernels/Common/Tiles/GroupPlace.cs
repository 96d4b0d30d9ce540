using System.Runtime.CompilerServices;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Tiles;

/// <summary>
/// The calling group's place in a grid that counts, from the inside, tiles across, tiles down, heads and batch entries. The divisions are
/// inside a branch: ILGPU leaves there what a branch has chosen, and else divides again in each loop that uses a place.
/// </summary>
public readonly struct GroupPlace
{
    /// <summary>The tile across.</summary>
    public readonly int Column;

    /// <summary>The tile down.</summary>
    public readonly int Row;

    /// <summary>The head.</summary>
    public readonly int Head;

    /// <summary>The head of keys and values.</summary>
    public readonly int KeyHead;

    /// <summary>The batch entry.</summary>
    public readonly int Batch;

    /// <summary>The number of the head among those of all batch entries.</summary>
    public readonly int Matrix;

    /// <param name="columns">Tiles across; a group has no place where there is none.</param>
    /// <param name="rows">Tiles down.</param>
    /// <param name="heads">Heads in a batch entry.</param>
    /// <param name="groupSize">Heads that share a head of keys and values.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public GroupPlace(int columns, int rows, int heads = 1, int groupSize = 1)
    {
        if (columns > 0)
        {
            int tile = Grid.IdxX / columns;
            Column = Grid.IdxX - tile * columns;
            Matrix = tile / rows;
            Row = tile - Matrix * rows;
            Batch = Matrix / heads;
            Head = Matrix - Batch * heads;
            KeyHead = Head / groupSize;
        }
    }
}
