using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>A row of two vectors.</summary>
internal unsafe struct TileRow2<TVector, TOperations> : ITileRow<TileRow2<TVector, TOperations>, TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private TVector _v0, _v1;

    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * TOperations.Width;
    }

    public static TileRow2<TVector, TOperations> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { _v0 = TOperations.Zero, _v1 = TOperations.Zero };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow2<TVector, TOperations> Load(float* source) =>
        new() { _v0 = TOperations.Load(source), _v1 = TOperations.Load(source + TOperations.Width) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(TileRow2<TVector, TOperations> row, float* target)
    {
        TOperations.Store(row._v0, target);
        TOperations.Store(row._v1, target + TOperations.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow2<TVector, TOperations> Add(TileRow2<TVector, TOperations> left, TileRow2<TVector, TOperations> right) =>
        new() { _v0 = TOperations.Add(left._v0, right._v0), _v1 = TOperations.Add(left._v1, right._v1) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow2<TVector, TOperations> Max(TileRow2<TVector, TOperations> left, TileRow2<TVector, TOperations> right) =>
        new() { _v0 = TOperations.Max(left._v0, right._v0), _v1 = TOperations.Max(left._v1, right._v1) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow2<TVector, TOperations> MultiplyAdd(
        TVector left, TileRow2<TVector, TOperations> right, TileRow2<TVector, TOperations> addend) =>
        new()
        {
            _v0 = TOperations.MultiplyAdd(left, right._v0, addend._v0),
            _v1 = TOperations.MultiplyAdd(left, right._v1, addend._v1),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow2<TVector, TOperations> MultiplyAdd(
        TileRow2<TVector, TOperations> left, TileRow2<TVector, TOperations> right, TileRow2<TVector, TOperations> addend) =>
        new()
        {
            _v0 = TOperations.MultiplyAdd(left._v0, right._v0, addend._v0),
            _v1 = TOperations.MultiplyAdd(left._v1, right._v1, addend._v1),
        };
}
