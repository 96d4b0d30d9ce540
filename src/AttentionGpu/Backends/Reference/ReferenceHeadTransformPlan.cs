using AttentionGpu.Kernels.Common.Sequences;
using AttentionGpu.Memory;
using AttentionGpu.Problems;

namespace AttentionGpu.Backends.Reference;

/// <summary>Normalises, rotates and copies rows in float64.</summary>
internal sealed class ReferenceHeadTransformPlan(HeadTransformSignature signature) : IPlan<HeadTransformExtent, HeadTransformBuffers>
{
    public long WorkspaceBytes(in HeadTransformExtent extent) => 0;

    public unsafe void Execute(in HeadTransformExtent extent, in HeadTransformBuffers buffers, DeviceMemory workspace)
    {
        double[] row = new double[signature.Size];
        var target = new KeyValueAccess(
            buffers.Target, buffers.TargetScales, buffers.Pages, signature.Target, extent.Target, extent.PageShift, signature.Size);
        for (int batch = 0; batch < extent.Batch; batch++)
        {
            int start = 0;
            int count = extent.Length;
            int past = 0;
            int targetStart = 0;
            if (signature.HasSequences)
            {
                Sequence sequence = buffers.Sequences.Pointer<Sequence>()[batch];
                (start, count) = (extent.Start(sequence), extent.Count(sequence));
                targetStart = start;
                if (signature.FollowsPast)
                {
                    (start, count) = (sequence.QueryStart, sequence.QueryLength);
                    int resident = sequence.KeyLength - sequence.QueryLength;
                    past = sequence.DroppedKeys + resident;
                    targetStart = extent.RowsAreKeys ? sequence.KeyStart + resident : start;
                }
            }

            for (int head = 0; head < extent.Heads; head++)
            {
                for (int i = 0; i < count; i++)
                {
                    int position = signature.HasPositions
                        ? buffers.Positions.Pointer<int>()[signature.HasSequences ? start + i : (long)batch * extent.Length + i]
                        : extent.FirstPosition + past + i;
                    Transform(extent, buffers, row, extent.Source.Offset(batch, head, start + i), (long)batch * extent.TableStride + position);
                    target.Write(batch, head, targetStart + i, row);
                }
            }
        }
    }

    private void Transform(
        in HeadTransformExtent extent, in HeadTransformBuffers buffers, double[] row, long sourceRow, long tableRow)
    {
        var source = new ElementAccess(buffers.Source, signature.Element);
        for (int element = 0; element < row.Length; element++)
            row[element] = source[sourceRow + element];
        if (signature.HasNorm)
            Normalize(row, buffers, extent.NormEpsilon);
        if (signature.RotarySize > 0)
            Rotate(row, buffers, tableRow);
    }

    private static unsafe void Normalize(double[] row, in HeadTransformBuffers buffers, double epsilon)
    {
        float* norm = buffers.Norm.Pointer<float>();
        double factor = 1.0 / Math.Sqrt(row.Sum(value => value * value) / row.Length + epsilon);
        for (int i = 0; i < row.Length; i++)
            row[i] *= factor * norm[i];
    }

    private unsafe void Rotate(double[] row, in HeadTransformBuffers buffers, long tableRow)
    {
        int half = signature.RotarySize / 2;
        float* cosine = buffers.Cosine.Pointer<float>() + tableRow * half;
        float* sine = buffers.Sine.Pointer<float>() + tableRow * half;
        for (int i = 0; i < half; i++)
        {
            int first = signature.IsInterleaved ? 2 * i : i;
            int second = signature.IsInterleaved ? 2 * i + 1 : i + half;
            (row[first], row[second]) = (
                row[first] * cosine[i] - row[second] * sine[i],
                row[second] * cosine[i] + row[first] * sine[i]);
        }
    }
}
