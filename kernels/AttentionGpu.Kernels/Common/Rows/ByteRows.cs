using System.Runtime.CompilerServices;
using AttentionGpu.Kernels.Common.Attention;
using AttentionGpu.Kernels.Common.Elements;
using AttentionGpu.Kernels.Common.Fragments;
using AttentionGpu.Kernels.Common.Layouts;
using ILGPU;

namespace AttentionGpu.Kernels.Common.Rows;

/// <summary>
/// Rows of an element a byte, with a scale a row. An address is the number of a row: layouts count rows, and a row's bytes and its scale
/// are found by its number.
/// </summary>
public struct ByteRows<TByte> : IStoredRows
    where TByte : struct, IByteElement
{
    /// <summary>The rows' bytes.</summary>
    public ArrayView<byte> Elements;

    /// <summary>A scale a row.</summary>
    public ArrayView<float> Scales;

    /// <summary>Where rows lie.</summary>
    public RowLayout Layout;

    /// <summary>Bytes of a row.</summary>
    public int RowBytes;

    /// <inheritdoc/>
    public static bool HasScales => true;

    /// <inheritdoc/>
    public static int GroupShift => 30;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Scale(float largest) =>
        ValuePass.IsFinite(largest) ? largest / TByte.Largest : Interop.IntAsFloat(SingleElement.NaNBits);

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
    public readonly float Load(long address, int column) => TByte.ToSingle(Elements[address * RowBytes + column]) * Scales[address];

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void StoreScale(long address, int group, float scale) => Scales[address] = scale;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Store(long address, int column, Float4 values, int count, bool isAligned, float scale)
    {
        long first = address * RowBytes + column;
        if (isAligned)
        {
            Elements.Cast<uint>()[first >> 2] =
                Bits(values.X, scale) | (Bits(values.Y, scale) << 8) | (Bits(values.Z, scale) << 16) | (Bits(values.W, scale) << 24);
        }
        else
        {
            for (int i = 0; i < IntrinsicMath.Min(count, 4); i++)
                Elements[first + i] = (byte)Bits(values[i], scale);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Bits(float value, float scale) => scale != 0f && ValuePass.IsFinite(scale) ? TByte.FromSingle(value / scale) : 0u;
}
