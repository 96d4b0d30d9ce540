using System.Numerics;
using System.Numerics.Tensors;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Rows;

/// <summary>Copies rows on the host, and normalises and rotates them on the way. Bound by memory.</summary>
internal sealed unsafe class SimdHeadTransformPlan(HeadTransform problem, int threads) : IPlan<HeadTransformBuffers>
{
    // About what normalising and rotating an element costs.
    private const double OperationsPerElement = 8.0;

    private IdleWork<HeadTransformWork> _idle;

    private HeadTransform Problem => problem;

    private int Threads => threads;

    public void Execute(in HeadTransformBuffers buffers)
    {
        HeadTransformWork call = _idle.Take() ?? new HeadTransformWork(this);
        call.Execute(buffers);
        _idle.Keep(call);
    }

    private void Transform(in HeadTransformBuffers buffers, float* row, int batch, int head)
    {
        for (int i = 0; i < problem.Length; i++)
        {
            byte* source = ElementRows.Address(buffers.Source, problem.Element, problem.Source.Offset(batch, head, i));
            byte* target = ElementRows.Address(buffers.Target, problem.Element, problem.Target.Offset(batch, head, i));
            if (problem is { NormEpsilon: null, RotarySize: 0 })
            {
                long bytes = (long)problem.Size * problem.Element.Size();
                Buffer.MemoryCopy(source, target, bytes, bytes);
                continue;
            }

            ElementRows.Load(source, problem.Element, row, problem.Size);
            if (problem.NormEpsilon is float epsilon)
                Normalize(new Span<float>(row, problem.Size), new ReadOnlySpan<float>(buffers.Norm.Pointer<float>(), problem.Size), epsilon);
            if (problem.RotarySize > 0)
                Rotate(buffers, row, buffers.Positions.Pointer<int>()[(long)batch * problem.Length + i]);
            ElementRows.Store(row, target, problem.Element, problem.Size);
        }
    }

    private static void Normalize(Span<float> row, ReadOnlySpan<float> norm, float epsilon)
    {
        float factor = 1f / MathF.Sqrt(TensorPrimitives.SumOfSquares<float>(row) / row.Length + epsilon);
        TensorPrimitives.Multiply(row, factor, row);
        TensorPrimitives.Multiply(row, norm, row);
    }

    private void Rotate(in HeadTransformBuffers buffers, float* row, int position)
    {
        int half = problem.RotarySize / 2;
        float* cosine = buffers.Cosine.Pointer<float>() + (long)position * half;
        float* sine = buffers.Sine.Pointer<float>() + (long)position * half;
        int pair = problem.IsInterleaved ? 0 : RotateVectors(row, row + half, cosine, sine, half);
        (int step, int distance) = problem.IsInterleaved ? (2, 1) : (1, half);
        for (; pair < half; pair++)
        {
            float* first = row + pair * step;
            (float x, float y) = (first[0], first[distance]);
            first[0] = x * cosine[pair] - y * sine[pair];
            first[distance] = y * cosine[pair] + x * sine[pair];
        }
    }

    // As many pairs as there are lanes: 4 loads, 4 multiplications, 2 additions, 2 stores. Returns how many pairs are done.
    private static int RotateVectors(float* first, float* second, float* cosine, float* sine, int pairs)
    {
        int pair = 0;
        for (; pair + Vector<float>.Count <= pairs; pair += Vector<float>.Count)
        {
            Vector<float> x = Vector.Load(first + pair);
            Vector<float> y = Vector.Load(second + pair);
            Vector<float> c = Vector.Load(cosine + pair);
            Vector<float> s = Vector.Load(sine + pair);
            Vector.Store(x * c - y * s, first + pair);
            Vector.Store(y * c + x * s, second + pair);
        }

        return pair;
    }

    private sealed class HeadTransformWork(SimdHeadTransformPlan plan) : WorkspaceWork
    {
        private HeadTransformBuffers _buffers;

        public void Execute(in HeadTransformBuffers buffers)
        {
            HeadTransform problem = plan.Problem;
            _buffers = buffers;
            long matrices = (long)problem.Batch * problem.Heads;
            Run(matrices, plan.Threads, OperationsPerElement * matrices * problem.Length * problem.Size);
            _buffers = default;
        }

        protected override long WorkspaceSize => plan.Problem.Size;

        protected override void Do(long item, float* memory) =>
            plan.Transform(_buffers, memory, (int)(item / plan.Problem.Heads), (int)(item % plan.Problem.Heads));
    }
}
