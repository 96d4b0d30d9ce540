using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Where keys are split: what each part of the keys gave for each row, its sums of values and its softmax, until the parts are merged.
/// </summary>
/// <param name="valueSize">Sums of a row.</param>
/// <param name="memory">The states of the first part.</param>
/// <param name="partStride">Floats from a part's states to the next part's.</param>
/// <param name="parts">How many parts there are.</param>
internal readonly unsafe struct SplitStates(int valueSize, float* memory, long partStride, int parts)
{
    // A maximum and a sum.
    private const int SoftmaxSize = 2;

    /// <summary>Floats of a part's state of a row.</summary>
    public static int RowSize(in AttentionSignature signature) => signature.ValueHeadSize + SoftmaxSize;

    /// <summary>The sums of a part for a row.</summary>
    public float* Sums(int part, long row) => memory + part * partStride + row * (valueSize + SoftmaxSize);

    /// <summary>Keeps the softmax beside a row's sums.</summary>
    public void Write(float* sums, float maximum, float total)
    {
        sums[valueSize] = maximum;
        sums[valueSize + 1] = total;
    }

    /// <summary>Merges the parts of a row in the order of their keys: in float64, since they may be many.</summary>
    /// <param name="row">The row.</param>
    /// <param name="sink">A last score without a value; -inf for none.</param>
    /// <param name="room">Memory of three times the output's size.</param>
    /// <param name="output">The output of the row, in that memory.</param>
    /// <param name="logSumExp">The row's log-sum-exp.</param>
    /// <returns>
    /// Whether that is the result; else the row is to be computed again with <see cref="PreciseRow{TVector, TOperations}"/>.
    /// </returns>
    public bool Merge(long row, float sink, float* room, out float* output, out double logSumExp)
    {
        double maximum = double.NegativeInfinity;
        for (int part = 0; part < parts; part++)
            maximum = Math.Max(maximum, Sums(part, row)[valueSize]);

        // Two maxima of -inf have no difference.
        double shift = double.IsNegativeInfinity(maximum) ? 0.0 : maximum;
        double total = -0.0;
        var sums = (double*)room;
        output = room + 2 * valueSize;
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
}
