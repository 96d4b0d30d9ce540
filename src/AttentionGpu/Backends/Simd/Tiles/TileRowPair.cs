using System.Runtime.CompilerServices;

namespace AttentionGpu.Backends.Simd.Tiles;

/// <summary>A row of two rows.</summary>
internal unsafe struct TileRowPair<THalf, TVector> : ITileRow<TileRowPair<THalf, TVector>, TVector>
    where THalf : struct, ITileRow<THalf, TVector>
    where TVector : unmanaged
{
    private THalf _first, _second;

    public static int Lanes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 2 * THalf.Lanes;
    }

    public static TileRowPair<THalf, TVector> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new() { _first = THalf.Zero, _second = THalf.Zero };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRowPair<THalf, TVector> Load(float* source) =>
        new() { _first = THalf.Load(source), _second = THalf.Load(source + THalf.Lanes) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(TileRowPair<THalf, TVector> row, float* target)
    {
        THalf.Store(row._first, target);
        THalf.Store(row._second, target + THalf.Lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRowPair<THalf, TVector> Add(TileRowPair<THalf, TVector> left, TileRowPair<THalf, TVector> right) =>
        new() { _first = THalf.Add(left._first, right._first), _second = THalf.Add(left._second, right._second) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRowPair<THalf, TVector> Max(TileRowPair<THalf, TVector> left, TileRowPair<THalf, TVector> right) =>
        new() { _first = THalf.Max(left._first, right._first), _second = THalf.Max(left._second, right._second) };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRowPair<THalf, TVector> MultiplyAdd(
        TVector left, TileRowPair<THalf, TVector> right, TileRowPair<THalf, TVector> addend) =>
        new()
        {
            _first = THalf.MultiplyAdd(left, right._first, addend._first),
            _second = THalf.MultiplyAdd(left, right._second, addend._second),
        };

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TileRowPair<THalf, TVector> MultiplyAdd(
        TileRowPair<THalf, TVector> left, TileRowPair<THalf, TVector> right, TileRowPair<THalf, TVector> addend) =>
        new()
        {
            _first = THalf.MultiplyAdd(left._first, right._first, addend._first),
            _second = THalf.MultiplyAdd(left._second, right._second, addend._second),
        };
}
