using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>A row of four vectors.</summary>
internal unsafe struct TileRow4<TVector, TOperations> : ITileRow<TileRow4<TVector, TOperations>, TVector>
    where TVector : unmanaged
    where TOperations : struct, IVectorOperations<TVector>
{
    private TVector _v0, _v1, _v2, _v3;

    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 4 * TOperations.Width;
    }

    public static TileRow4<TVector, TOperations> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { _v0 = TOperations.Zero, _v1 = TOperations.Zero, _v2 = TOperations.Zero, _v3 = TOperations.Zero };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow4<TVector, TOperations> Load(float* source) =>
        new()
        {
            _v0 = TOperations.Load(source),
            _v1 = TOperations.Load(source + TOperations.Width),
            _v2 = TOperations.Load(source + 2 * TOperations.Width),
            _v3 = TOperations.Load(source + 3 * TOperations.Width),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(TileRow4<TVector, TOperations> row, float* target)
    {
        TOperations.Store(row._v0, target);
        TOperations.Store(row._v1, target + TOperations.Width);
        TOperations.Store(row._v2, target + 2 * TOperations.Width);
        TOperations.Store(row._v3, target + 3 * TOperations.Width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow4<TVector, TOperations> Add(TileRow4<TVector, TOperations> left, TileRow4<TVector, TOperations> right) =>
        new()
        {
            _v0 = TOperations.Add(left._v0, right._v0),
            _v1 = TOperations.Add(left._v1, right._v1),
            _v2 = TOperations.Add(left._v2, right._v2),
            _v3 = TOperations.Add(left._v3, right._v3),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow4<TVector, TOperations> Max(TileRow4<TVector, TOperations> left, TileRow4<TVector, TOperations> right) =>
        new()
        {
            _v0 = TOperations.Max(left._v0, right._v0),
            _v1 = TOperations.Max(left._v1, right._v1),
            _v2 = TOperations.Max(left._v2, right._v2),
            _v3 = TOperations.Max(left._v3, right._v3),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow4<TVector, TOperations> MultiplyAdd(
        TVector left, TileRow4<TVector, TOperations> right, TileRow4<TVector, TOperations> addend) =>
        new()
        {
            _v0 = TOperations.MultiplyAdd(left, right._v0, addend._v0),
            _v1 = TOperations.MultiplyAdd(left, right._v1, addend._v1),
            _v2 = TOperations.MultiplyAdd(left, right._v2, addend._v2),
            _v3 = TOperations.MultiplyAdd(left, right._v3, addend._v3),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRow4<TVector, TOperations> MultiplyAdd(
        TileRow4<TVector, TOperations> left, TileRow4<TVector, TOperations> right, TileRow4<TVector, TOperations> addend) =>
        new()
        {
            _v0 = TOperations.MultiplyAdd(left._v0, right._v0, addend._v0),
            _v1 = TOperations.MultiplyAdd(left._v1, right._v1, addend._v1),
            _v2 = TOperations.MultiplyAdd(left._v2, right._v2, addend._v2),
            _v3 = TOperations.MultiplyAdd(left._v3, right._v3, addend._v3),
        };
}
