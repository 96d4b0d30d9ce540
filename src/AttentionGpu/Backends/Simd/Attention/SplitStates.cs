using System.Numerics.Tensors;
using AttentionGpu.Kernels.Common.Softmax;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Attention;

/// <summary>
/// Where keys are split among threads: what each part of the keys gave for each row, its sums of values and its
/// <see cref="OnlineSoftmax"/>, until the parts are merged. [parts, batch x heads x queries, value head size + 2].
/// </summary>
internal readonly unsafe struct SplitStates(AttentionProblem problem, float* memory, int parts)
{
    private readonly long _rows = Rows(problem);
    private readonly int _stride = Stride(problem);

    public static long Size(AttentionProblem problem, int parts) => Rows(problem) * Stride(problem) * parts;

    /// <summary>The sums of a part for a row.</summary>
    public float* Sums(int part, int batch, int head, int query) =>
        Sums(part, ((long)batch * problem.Heads + head) * problem.QueryLength + query);

    /// <summary>Keeps the softmax beside a row's sums.</summary>
    public void Write(float* sums, float maximum, float total)
    {
        sums[problem.ValueHeadSize] = maximum;
        sums[problem.ValueHeadSize + 1] = total;
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
        for (int part = 0; part < parts; part++)
        {
            float* sums = Sums(part, row);
            float factor = state.Weight(sums[problem.ValueHeadSize]) * normalizer;
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(sums, output.Length), factor, output, output);
        }

        return whole;
    }

    private static long Rows(AttentionProblem problem) => (long)problem.Batch * problem.Heads * problem.QueryLength;

    private static int Stride(AttentionProblem problem) => problem.ValueHeadSize + 2;

    private float* Sums(int part, long row) => memory + (part * _rows + row) * _stride;

    private OnlineSoftmax State(float* sums) =>
        new() { Maximum = sums[problem.ValueHeadSize], Sum = sums[problem.ValueHeadSize + 1] };
}
