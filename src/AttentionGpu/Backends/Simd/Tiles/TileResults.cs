using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Kernels.Common.Layouts;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>What becomes of a register tile's sums: the epilogue of <see cref="RegisterTile{TVector, TOperations}"/>.</summary>
internal unsafe interface ITileResult
{
    /// <summary>Where the largest sum of each lane is kept; null where nobody asks.</summary>
    float* Maxima { get; }

    /// <summary>Asks for the memory that the sums of a row go to: by the end of a tile it has come.</summary>
    void Prepare(int row, int lanes);

    /// <summary>Takes the sums of one row of the left operand, by number.</summary>
    void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, ITileRow<TRow, TVector>
        where TVector : unmanaged;
}

/// <summary><c>target = sums</c>.</summary>
internal readonly unsafe struct StoredSums(float* target, nint stride, float* maxima = null) : ITileResult
{
    public float* Maxima => maxima;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prepare(int row, int lanes)
    {
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, ITileRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(sums, target + row * stride);
}

/// <summary><c>target = target + sums</c>.</summary>
internal readonly unsafe struct AddedSums(float* target, nint stride) : ITileResult
{
    public float* Maxima => null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prepare(int row, int lanes) => Prefetch.Row(target + row * stride, lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, ITileRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.Add(TRow.Load(target + row * stride), sums), target + row * stride);
}

/// <summary><c>target = factors * target + sums</c>, with a factor for each lane.</summary>
internal readonly unsafe struct RescaledSums(float* target, nint stride, float* factors) : ITileResult
{
    public float* Maxima => null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prepare(int row, int lanes) => Prefetch.Row(target + row * stride, lanes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, ITileRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.MultiplyAdd(TRow.Load(target + row * stride), TRow.Load(factors), sums), target + row * stride);
}

/// <summary>
/// <c>target = before + sums + bias</c>, through the layout of a linear layer's output, with a panel's lanes side by side in it.
/// </summary>
internal readonly unsafe struct MappedSums(HeadLayout layout, int firstRow, float* target, float* bias, float* before, nint stride)
    : ITileResult
{
    public float* Maxima => null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Prepare(int row, int lanes)
    {
        Prefetch.Row(target + layout.Row(firstRow + row), lanes);
        if (before != null)
            Prefetch.Row(before + row * stride, lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, ITileRow<TRow, TVector>
        where TVector : unmanaged
    {
        if (before != null)
            sums = TRow.Add(TRow.Load(before + row * stride), sums);
        if (bias != null)
            sums = TRow.Add(sums, TRow.Load(bias));
        TRow.Store(sums, target + layout.Row(firstRow + row));
    }
}
