using System.Runtime.CompilerServices;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>What becomes of a register tile's sums: the epilogue of <see cref="RegisterTile{TVector, TOperations}"/>.</summary>
internal unsafe interface ITileResult
{
    /// <summary>Where the largest sum of each lane is kept; null where nobody asks.</summary>
    float* Maxima { get; }

    /// <summary>Takes the sums of one row of the left operand, by number.</summary>
    void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged;
}

/// <summary><c>target = sums</c>.</summary>
internal readonly unsafe struct StoredSums(float* target, nint stride, float* maxima = null) : ITileResult
{
    public float* Maxima => maxima;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(sums, target + row * stride);
}

/// <summary><c>target = target + sums</c>.</summary>
internal readonly unsafe struct AddedSums(float* target, nint stride) : ITileResult
{
    public float* Maxima => null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.Add(TRow.Load(target + row * stride), sums), target + row * stride);
}

/// <summary><c>target = factors * target + sums</c>, with a factor for each lane.</summary>
internal readonly unsafe struct RescaledSums(float* target, nint stride, float* factors) : ITileResult
{
    public float* Maxima => null;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Take<TRow, TVector>(TRow sums, int row)
        where TRow : struct, IRow<TRow, TVector>
        where TVector : unmanaged =>
        TRow.Store(TRow.MultiplyAdd(TRow.Load(target + row * stride), TRow.Load(factors), sums), target + row * stride);
}
