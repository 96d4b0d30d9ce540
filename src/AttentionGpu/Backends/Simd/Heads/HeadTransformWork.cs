using System.Numerics;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>The heads of a call of a head transform.</summary>
internal sealed unsafe class HeadTransformWork(HeadTransformSignature signature) : WorkspaceWork
{
    // About the cost of normalising and rotating an element.
    private const double OperationsPerElement = 8.0;

    private HeadTransformExtent _extent;
    private HeadTransformBuffers _buffers;
    private TargetRows _target;

    /// <summary>Operations of a call.</summary>
    public static double Operations(in HeadTransformSignature signature, in HeadTransformExtent extent) =>
        OperationsPerElement * extent.Batch * extent.Heads * extent.Length * signature.Size;

    public void Execute(in ThreadWorkspace workspace, in HeadTransformExtent extent, in HeadTransformBuffers buffers, DeviceMemory memory)
    {
        _extent = extent;
        _buffers = buffers;
        _target = new TargetRows(signature, extent, buffers);
        Take(workspace, workspace.In(memory));
        Run((long)extent.Batch * extent.Heads, Operations(signature, extent));
        _buffers = default;
    }

    protected override void Do(long item, float* memory)
    {
        (int batch, int head) = ((int)(item / _extent.Heads), (int)(item % _extent.Heads));
        HeadTransformRows rows = _extent.Rows(
            signature, batch, signature.HasSequences ? _buffers.Sequences.Pointer<Sequence>()[batch] : default);
        byte* source = ElementRows.Address(_buffers.Source, signature.Element, _extent.Source.Offset(batch, head, rows.Source));
        long stride = _extent.Source.RowStride * signature.Element.Size();
        bool isCopy = signature is { HasNorm: false, RotarySize: 0 } && _target.IsCopyOf(signature.Element);
        for (int i = 0; i < rows.Count; i++)
        {
            if (isCopy)
                _target.Copy(batch, head, rows.Target + i, source + i * stride);
            else
                Transform(source + i * stride, memory, batch, head, rows, i);
        }
    }

    private void Transform(byte* source, float* row, int batch, int head, in HeadTransformRows rows, int index)
    {
        ElementRows.Load(source, signature.Element, row, signature.Size);
        if (signature.HasNorm)
            Normalize(row);
        if (signature.RotarySize > 0)
        {
            int position = signature.HasPositions
                ? _buffers.Positions.Pointer<int>()[rows.PositionIndex + index]
                : rows.FirstPosition + index;
            Rotate(row, (long)batch * _extent.TableStride + position);
        }

        _target.Store(batch, head, rows.Target + index, row);
    }

    // In float64: the squares of ordinary rows overflow float32 from 1.8e19 on, and vanish from 1e-23 down.
    private void Normalize(float* row)
    {
        double factor = 1.0 / Math.Sqrt(DoubleRows.Dot(row, row, signature.Size) / signature.Size + _extent.NormEpsilon);
        DoubleRows.Multiply(row, factor, _buffers.Norm.Pointer<float>(), signature.Size);
    }

    private void Rotate(float* row, long tableRow)
    {
        int half = signature.RotarySize / 2;
        float* cosine = _buffers.Cosine.Pointer<float>() + tableRow * half;
        float* sine = _buffers.Sine.Pointer<float>() + tableRow * half;
        int pair = signature.IsInterleaved ? 0 : RotateVectors(row, row + half, cosine, sine, half);
        (int step, int distance) = signature.IsInterleaved ? (2, 1) : (1, half);
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
}
