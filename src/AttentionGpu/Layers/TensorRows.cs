using System.Numerics.Tensors;

namespace AttentionGpu.Layers;

/// <summary>Parts of matrices and vectors of a checkpoint.</summary>
internal static class TensorRows
{
    /// <summary>Copies runs of rows of a dense matrix, or of elements of a dense vector, one behind the other.</summary>
    public static Tensor<float> Take(Tensor<float> source, params ReadOnlySpan<(nint First, nint Count)> runs)
    {
        nint rowSize = source.Rank == 1 ? 1 : source.Lengths[1];
        nint rows = 0;
        foreach ((_, nint count) in runs)
            rows += count;
        var taken = new float[rows * rowSize];
        int position = 0;
        foreach ((nint first, nint count) in runs)
        {
            int length = (int)(count * rowSize);
            ReadOnlySpan<nint> start = source.Rank == 1 ? [first] : [first, 0];
            source.GetSpan(start, length).CopyTo(taken.AsSpan(position));
            position += length;
        }

        return source.Rank == 1 ? Tensor.Create(taken, [rows]) : Tensor.Create(taken, [rows, rowSize]);
    }
}
