using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>
/// Rows of two elements a byte, -7 to 7, the even one in the lower half; with a scale of 16 bits for each 32 elements. An address is the
/// number of a row: layouts count rows.
/// </summary>
public struct Int4Rows : IStoredRows
{
    private const float Largest = 7f;

    /// <summary>The rows' bytes.</summary>
    public ArrayView<byte> Elements;

    /// <summary>The scales of the rows' groups.</summary>
    public ArrayView<HalfElement> Scales;

    /// <summary>Where rows lie.</summary>
    public RowLayout Layout;

    /// <summary>Bytes of a row.</summary>
    public int RowBytes;

    /// <summary>Groups of a row.</summary>
    public int Groups;

    /// <inheritdoc/>
    public static bool HasScales => true;

    /// <inheritdoc/>
    public static int GroupShift => 5;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scale(float largest)
    {
        float scale = HalfElement.FromSingle(largest / Largest).ToSingle();
        return ValuePass.IsFinite(scale) ? scale : Interop.IntAsFloat(SingleElement.NaNBits);
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Origin(int matrix, int firstRow) => Layout.Base(matrix) + Layout.Row(firstRow);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Address(int batch, int head, int row) => Layout.Address(batch, head, row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Skip(long origin, int rows) => Row(origin, rows);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly long Row(long origin, int row) => origin + Layout.Row(row);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly float Load(long address, int column)
    {
        int bits = (Elements[address * RowBytes + (column >> 1)] >> ((column & 1) << 2)) & 15;
        return ((bits ^ 8) - 8) * Scales[address * Groups + (column >> GroupShift)].ToSingle();
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void StoreScale(long address, int group, float scale) =>
        Scales[address * Groups + group] = HalfElement.FromSingle(scale);

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(long address, int column, Float4 values, int count, bool isAligned, float scale)
    {
        long first = address * RowBytes + (column >> 1);
        Elements[first] = (byte)(Bits(values.X, scale) | (Bits(values.Y, scale) << 4));
        if (count > 2)
            Elements[first + 1] = (byte)(Bits(values.Z, scale) | (Bits(values.W, scale) << 4));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Bits(float value, float scale) =>
        scale != 0f && ValuePass.IsFinite(scale) ? RoundedInteger.Nearest(value / scale, Largest) & 15 : 0;
}
