using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Normalises, rotates and copies rows in float64.</summary>
internal sealed class ReferenceHeadTransformPlan(HeadTransform problem) : IPlan<HeadTransformBuffers>
{
    public unsafe void Execute(in HeadTransformBuffers buffers)
    {
        var source = new ElementAccess(buffers.Source, problem.Element);
        var target = new ElementAccess(buffers.Target, problem.Element);
        double[] row = new double[problem.Size];
        for (int batch = 0; batch < problem.Batch; batch++)
        {
            for (int head = 0; head < problem.Heads; head++)
            {
                for (int i = 0; i < problem.Length; i++)
                {
                    long first = problem.Source.Offset(batch, head, i);
                    for (int element = 0; element < row.Length; element++)
                        row[element] = source[first + element];
                    if (problem.NormEpsilon is float epsilon)
                        Normalize(row, buffers.Norm.Pointer<float>(), epsilon);
                    if (problem.RotarySize > 0)
                        Rotate(row, buffers, buffers.Positions.Pointer<int>()[(long)batch * problem.Length + i]);
                    first = problem.Target.Offset(batch, head, i);
                    for (int element = 0; element < row.Length; element++)
                        target[first + element] = row[element];
                }
            }
        }
    }

    private static unsafe void Normalize(double[] row, float* norm, double epsilon)
    {
        double factor = 1.0 / Math.Sqrt(row.Sum(value => value * value) / row.Length + epsilon);
        for (int i = 0; i < row.Length; i++)
            row[i] *= factor * norm[i];
    }

    private unsafe void Rotate(double[] row, in HeadTransformBuffers buffers, int position)
    {
        int half = problem.RotarySize / 2;
        float* cosine = buffers.Cosine.Pointer<float>() + (long)position * half;
        float* sine = buffers.Sine.Pointer<float>() + (long)position * half;
        for (int i = 0; i < half; i++)
        {
            int first = problem.IsInterleaved ? 2 * i : i;
            int second = problem.IsInterleaved ? 2 * i + 1 : i + half;
            (row[first], row[second]) = (
                row[first] * cosine[i] - row[second] * sine[i],
                row[second] * cosine[i] + row[first] * sine[i]);
        }
    }
}
