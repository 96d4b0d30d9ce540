using System.Numerics;
using AttentionGpu.Backends.Simd.Memory;
using AttentionGpu.Backends.Simd.Threads;
using AttentionGpu.Backends.Simd.Vectors;
using AttentionGpu.Elements;
using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.KeyValues;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Simd.Heads;

/// <summary>The heads of a call of a head transform.</summary>
internal sealed unsafe class HeadTransformWork(HeadTransformSignature signature) : WorkspaceWork
{
    // About the cost of normalising and rotating an element.
    private const double OperationsPerElement = 8.0;

    private readonly ElementType _target = signature.Target.Element.Plain();
    private HeadTransformExtent _extent;
    private HeadTransformBuffers _buffers;

    /// <summary>Operations of a call.</summary>
    public static double Operations(in HeadTransformSignature signature, in HeadTransformExtent extent) =>
        OperationsPerElement * extent.Batch * extent.Heads * extent.Length * signature.Size;

    public void Execute(in ThreadWorkspace workspace, in HeadTransformExtent extent, in HeadTransformBuffers buffers, DeviceMemory memory)
    {
        _extent = extent;
        _buffers = buffers;
        Take(workspace, workspace.In(memory));
        Run((long)extent.Batch * extent.Heads, Operations(signature, extent));
        _buffers = default;
    }

    protected override void Do(long item, float* memory)
    {
        (int batch, int head) = ((int)(item / _extent.Heads), (int)(item % _extent.Heads));
        (int start, int count) = (0, _extent.Length);
        if (signature.HasSequences)
        {
            Sequence sequence = _buffers.Sequences.Pointer<Sequence>()[batch];
            (start, count) = (_extent.Start(sequence), _extent.Count(sequence));
        }

        long firstPosition = signature.HasSequences ? start : (long)batch * _extent.Length;
        long firstTableRow = (long)batch * _extent.TableStride;
        byte* source = ElementRows.Address(_buffers.Source, signature.Element, _extent.Source.Offset(batch, head, start));
        byte* target = ElementRows.Address(_buffers.Target, _target, _extent.Target.Offset(batch, head, start));
        long sourceStride = _extent.Source.RowStride * signature.Element.Size();
        long targetStride = _extent.Target.RowStride * _target.Size();
        for (int i = 0; i < count; i++)
        {
            if (signature is { HasNorm: false, RotarySize: 0 })
                Copy(source + i * sourceStride, target + i * targetStride, memory);
            else
                Transform(source + i * sourceStride, target + i * targetStride, memory, i, firstPosition + i, firstTableRow);
        }
    }

    private void Copy(byte* source, byte* target, float* row)
    {
        if (signature.Element == _target)
        {
            long bytes = (long)signature.Size * signature.Element.Size();
            Buffer.MemoryCopy(source, target, bytes, bytes);
            return;
        }

        ElementRows.Load(source, signature.Element, row, signature.Size);
        ElementRows.Store(row, target, _target, signature.Size);
    }

    private void Transform(byte* source, byte* target, float* row, int index, long positionIndex, long firstTableRow)
    {
        ElementRows.Load(source, signature.Element, row, signature.Size);
        if (signature.HasNorm)
            Normalize(row);
        if (signature.RotarySize > 0)
        {
            int position = signature.HasPositions ? _buffers.Positions.Pointer<int>()[positionIndex] : _extent.FirstPosition + index;
            Rotate(row, firstTableRow + position);
        }

        ElementRows.Store(row, target, _target, signature.Size);
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
