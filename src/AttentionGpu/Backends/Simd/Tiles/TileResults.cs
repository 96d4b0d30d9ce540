using System.Runtime.CompilerServices;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>What becomes of a register tile's sums: the epilogue of <see cref="RegisterTile{TVector, TOperations}"/>.</summary>
internal interface ITileResult
{
    /// <summary>Whether <see cref="TakeMaxima"/> is to be called.</summary>
    static abstract bool NeedsMaxima { get; }

    /// <summary>Takes the sums of one row of the left operand, by number.</summary>
    void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged;

    /// <summary>Takes the largest sum of each lane over all rows of a tile.</summary>
    void TakeMaxima<TRow, TVector>(TRow maxima)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged;
}

/// <summary><c>target = sums</c>.</summary>
internal readonly unsafe struct StoredSums(float* target, nint stride) : ITileResult
{
    public static bool NeedsMaxima => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(sums, target + row * stride);

    public void TakeMaxima<TRow, TVector>(TRow maxima)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged
    {
    }
}

/// <summary><c>target = sums</c>, and the largest of each lane is kept.</summary>
internal readonly unsafe struct StoredSumsWithMaxima(float* target, nint stride, float* maxima) : ITileResult
{
    public static bool NeedsMaxima => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(sums, target + row * stride);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void TakeMaxima<TRow, TVector>(TRow largest)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.Max(largest, TRow.Load(maxima)), maxima);
}

/// <summary><c>target = target + sums</c>.</summary>
internal readonly unsafe struct AddedSums(float* target, nint stride) : ITileResult
{
    public static bool NeedsMaxima => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.Add(TRow.Load(target + row * stride), sums), target + row * stride);

    public void TakeMaxima<TRow, TVector>(TRow maxima)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged
    {
    }
}

/// <summary><c>target = factors * target + sums</c>, with a factor for each lane.</summary>
internal readonly unsafe struct RescaledSums(float* target, nint stride, float* factors) : ITileResult
{
    public static bool NeedsMaxima => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.MultiplyAdd(TRow.Load(target + row * stride), TRow.Load(factors), sums), target + row * stride);

    public void TakeMaxima<TRow, TVector>(TRow maxima)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged
    {
    }
}
