using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Where keys are split among threads: what each part of the keys gave for each row, its sums of values and its
/// softmax, until the parts are merged. [parts, batch x heads x queries, value head size + 2].
/// </summary>
internal readonly unsafe struct SplitStates(int valueSize, in AttentionExtent extent, int queries, float* memory, int parts)
{
    // A maximum and a sum.
    private const int SoftmaxSize = 2;

    private readonly long _rows = Rows(extent, queries);
    private readonly int _heads = extent.Heads;

    /// <summary>Floats of all states.</summary>
    public static long Size(in AttentionSignature signature, in AttentionExtent extent, int queries, int parts) =>
        Rows(extent, queries) * (signature.ValueHeadSize + SoftmaxSize) * parts;

    /// <summary>The sums of a part for a row.</summary>
    public float* Sums(int part, int batch, int head, int query) =>
        Sums(part, ((long)batch * _heads + head) * queries + query);

    /// <summary>Keeps the softmax beside a row's sums.</summary>
    public void Write(float* sums, float maximum, float total)
    {
        sums[valueSize] = maximum;
        sums[valueSize + 1] = total;
    }

    /// <summary>
    /// Merges the parts of a row, by its number among all: in float64, since the parts are as many as there are threads.
    /// </summary>
    /// <param name="row">The row.</param>
    /// <param name="sink">A last score without a value; -inf for none.</param>
    /// <param name="memory">Memory of three times the output's size.</param>
    /// <param name="output">The output of the row, in that memory.</param>
    /// <param name="logSumExp">The row's log-sum-exp.</param>
    /// <returns>
    /// Whether that is the result; else the row is to be computed again with <see cref="PreciseRow{TVector, TOperations}"/>.
    /// </returns>
    public bool Merge(long row, float sink, float* memory, out float* output, out double logSumExp)
    {
        double maximum = double.NegativeInfinity;
        for (int part = 0; part < parts; part++)
            maximum = Math.Max(maximum, Sums(part, row)[valueSize]);

        // Two maxima of -inf have no difference.
        double shift = double.IsNegativeInfinity(maximum) ? 0.0 : maximum;
        double total = -0.0;
        var sums = (double*)memory;
        output = memory + 2 * valueSize;
        new Span<double>(sums, valueSize).Clear();
        for (int part = 0; part < parts; part++)
        {
            float* ofPart = Sums(part, row);
            double weight = Math.Exp(ofPart[valueSize] - shift);
            total += weight * ofPart[valueSize + 1];

            // Parts without a visible key change no bit, not even the sign of a zero: as if the others were all that there are.
            if (!float.IsNegativeInfinity(ofPart[valueSize]))
                DoubleRows.AddProduct(sums, ofPart, weight, valueSize);
        }

        bool isDoubtful = total == 0.0 && !double.IsNegative(total);
        double last = Math.Max(maximum, sink);
        shift = double.IsNegativeInfinity(last) ? 0.0 : last;
        double factor = Math.Exp(maximum - shift);
        total = total * factor + Math.Exp(sink - shift);
        logSumExp = last + Math.Log(total);
        DoubleRows.Round(sums, total == 0.0 ? 0.0 : factor / total, output, valueSize);
        return !isDoubtful && TensorPrimitives.IsFiniteAll<float>(new(output, valueSize));
    }

    private static long Rows(in AttentionExtent extent, int queries) => (long)extent.Batch * extent.Heads * queries;

    private float* Sums(int part, long row) => memory + (part * _rows + row) * (valueSize + SoftmaxSize);
}
