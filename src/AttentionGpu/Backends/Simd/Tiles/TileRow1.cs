using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>A row of one vector.</summary>
internal readonly unsafe struct TileRow1<TVector, TOperations>(TVector vector) : ITileRow<TileRow1<TVector, TOperations>, TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private TVector Vector => vector;

    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => TOperations.Width;
    }

    public static TileRow1<TVector, TOperations> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(TOperations.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow1<TVector, TOperations> Load(float* source) => new(TOperations.Load(source));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(TileRow1<TVector, TOperations> row, float* target) => TOperations.Store(row.Vector, target);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow1<TVector, TOperations> Add(TileRow1<TVector, TOperations> left, TileRow1<TVector, TOperations> right) =>
        new(TOperations.Add(left.Vector, right.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow1<TVector, TOperations> Max(TileRow1<TVector, TOperations> left, TileRow1<TVector, TOperations> right) =>
        new(TOperations.Max(left.Vector, right.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow1<TVector, TOperations> MultiplyAdd(
        TVector left, TileRow1<TVector, TOperations> right, TileRow1<TVector, TOperations> addend) =>
        new(TOperations.MultiplyAdd(left, right.Vector, addend.Vector));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow1<TVector, TOperations> MultiplyAdd(
        TileRow1<TVector, TOperations> left, TileRow1<TVector, TOperations> right, TileRow1<TVector, TOperations> addend) =>
        new(TOperations.MultiplyAdd(left.Vector, right.Vector, addend.Vector));
}
