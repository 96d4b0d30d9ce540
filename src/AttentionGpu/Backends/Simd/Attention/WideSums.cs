using System.Runtime.CompilerServices;
using AttentionGpu.Backends.Simd.Vectors;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// The sums of rows in float64, where there are many keys: a float32 sum that grows with the keys rounds each further term more coarsely,
/// to the same side where terms are equal. The float32 sums of a few thousand keys are added to these and begin anew at 0.
/// </summary>
internal unsafe struct WideSums
{
    private const int FloatsOfDouble = 2;

    // Totals and factors, and a maximum.
    private const int RowFloats = 2 * FloatsOfDouble + 1;

    // Keeps what follows at a cache line.
    private const int PendingFloats = 16;

    private double* _sums;
    private double* _totals;
    private double* _factors;
    private float* _maxima;
    private int* _pending;
    private int _rows;

    /// <summary>Whether there are float64 sums: the keys are many.</summary>
    public readonly bool Exist => _sums != null;

    /// <summary>Floats of memory.</summary>
    /// <param name="rows">Rows.</param>
    /// <param name="size">Sums of a row.</param>
    public static long Size(int rows, int size) => (long)rows * (FloatsOfDouble * size + RowFloats) + PendingFloats;

    /// <summary>Cuts memory into sums, totals and maxima, of no key.</summary>
    public static WideSums Begin(float* memory, int rows, int size)
    {
        var wide = new WideSums { _sums = (double*)memory, _rows = rows };
        wide._totals = wide._sums + (nint)rows * size;
        wide._factors = wide._totals + rows;
        wide._maxima = (float*)(wide._factors + rows);
        wide._pending = (int*)(wide._maxima + rows);
        new Span<double>(wide._sums, rows * size).Clear();
        new Span<double>(wide._totals, rows).Fill(-0.0);
        new Span<float>(wide._maxima, rows).Fill(float.NegativeInfinity);
        *wide._pending = 0;
        return wide;
    }

    /// <summary>Counts keys that the float32 sums have taken in; true, and from 0 again, when they are as many as a period.</summary>
    public readonly bool Count(int keys, int period)
    {
        *_pending += keys;
        if (*_pending < period)
            return false;
        *_pending = 0;
        return true;
    }

    /// <summary>Takes in the sums of a panel, [size, rows], which then are of no key.</summary>
    /// <param name="sums">The float32 sums.</param>
    /// <param name="totals">The float32 sums of weights: [rows].</param>
    /// <param name="maxima">The largest scores: [rows].</param>
    /// <param name="size">Sums of a row.</param>
    /// <param name="logarithm">The natural logarithm of the base whose exponents the scores are.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public readonly void TakePanel(float* sums, float* totals, float* maxima, int size, float logarithm)
    {
        for (int row = 0; row < _rows; row++)
            _factors[row] = TakeTotal(row, totals, maxima, logarithm);
        for (int i = 0; i < size; i++)
            DoubleRows.RescaleAndAdd(_sums + (nint)i * _rows, _factors, sums + (nint)i * _rows, _rows);
        new Span<float>(sums, size * _rows).Clear();
    }

    /// <summary>The same for rows, [rows, size].</summary>
    public readonly void TakeRows(float* sums, float* totals, float* maxima, int size)
    {
        for (int row = 0; row < _rows; row++)
            DoubleRows.RescaleAndAdd(_sums + (nint)row * size, TakeTotal(row, totals, maxima, 1f), sums + (nint)row * size, size);
        new Span<float>(sums, size * _rows).Clear();
    }

    /// <summary>Puts the sums where they came from, rounded once.</summary>
    public readonly void Return(float* sums, float* totals, int size)
    {
        DoubleRows.Round(_sums, 1.0, sums, size * _rows);
        DoubleRows.Round(_totals, 1.0, totals, _rows);
    }

    // Returns the factor by which the row's sums shrink. Two maxima of -inf have no difference.
    private readonly double TakeTotal(int row, float* totals, float* maxima, float logarithm)
    {
        double factor = _maxima[row] == maxima[row] ? 1.0 : Math.Exp(((double)_maxima[row] - maxima[row]) * logarithm);
        _totals[row] = _totals[row] * factor + totals[row];
        _maxima[row] = maxima[row];
        totals[row] = -0f;
        return factor;
    }
}
