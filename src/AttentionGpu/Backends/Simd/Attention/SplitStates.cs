using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Where keys are split among threads: what each part of the keys gave for each row, its sums of values and its
/// <see cref="OnlineSoftmax"/>, until the parts are merged. [parts, batch x heads x queries, value head size + 2].
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

    /// <summary>Merges the parts of a row, by its number among all.</summary>
    /// <param name="row">The row.</param>
    /// <param name="sink">A last score without a value; -inf for none.</param>
    /// <param name="output">The output of the row.</param>
    /// <returns>The row's softmax, which has ended.</returns>
    public OnlineSoftmax Merge(long row, float sink, Span<float> output)
    {
        OnlineSoftmax state = OnlineSoftmax.Empty;
        for (int part = 0; part < parts; part++)
            state = OnlineSoftmax.Merge(state, State(Sums(part, row)));
        OnlineSoftmax whole = state;
        float normalizer = whole.Finish(sink);
        output.Clear();
        bool isFirst = true;
        for (int part = 0; part < parts; part++)
        {
            float* sums = Sums(part, row);

            // Parts without a visible key change no bit, not even the sign of a zero: as if the others were all that there are.
            if (sums[valueSize] == float.NegativeInfinity)
                continue;
            float factor = state.Weight(sums[valueSize]) * normalizer;
            var values = new ReadOnlySpan<float>(sums, output.Length);
            if (isFirst)
                TensorPrimitives.Multiply(values, factor, output);
            else
                TensorPrimitives.MultiplyAdd(values, factor, output, output);
            isFirst = false;
        }

        return whole;
    }

    private static long Rows(in AttentionExtent extent, int queries) => (long)extent.Batch * extent.Heads * queries;

    private float* Sums(int part, long row) => memory + (part * _rows + row) * (valueSize + SoftmaxSize);

    private OnlineSoftmax State(float* sums) =>
        new() { Maximum = sums[valueSize], Sum = sums[valueSize + 1] };
}
