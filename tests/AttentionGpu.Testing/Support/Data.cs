using System.Numerics.Tensors;

namespace AttentionGpu.Tests.Support;

/// <summary>Test data.</summary>
internal static class Data
{
    /// <summary>Numbers in [-1, 1).</summary>
    public static Tensor<float> Random(Random random, params ReadOnlySpan<nint> lengths)
    {
        Tensor<float> tensor = Tensor.CreateFromShape<float>(lengths);
        return Fill(tensor, () => (float)(2.0 * random.NextDouble() - 1.0));
    }

    /// <summary>True with probability <paramref name="share"/>.</summary>
    public static Tensor<bool> RandomBoolean(Random random, double share, params ReadOnlySpan<nint> lengths) =>
        Fill(Tensor.CreateFromShape<bool>(lengths), () => random.NextDouble() < share);

    /// <summary>An output that shows what was not written.</summary>
    public static Tensor<float> Poisoned(params ReadOnlySpan<nint> lengths) =>
        Fill(Tensor.CreateFromShape<float>(lengths), () => float.NaN);

    public static T[] Flat<T>(Tensor<T> tensor)
    {
        var values = new T[tensor.FlattenedLength];
        tensor.FlattenTo(values);
        return values;
    }

    private static Tensor<T> Fill<T>(Tensor<T> tensor, Func<T> next)
    {
        var values = new T[tensor.FlattenedLength];
        for (int i = 0; i < values.Length; i++)
            values[i] = next();
        return Tensor.Create(values, tensor.Lengths);
    }

    /// <summary>A copy of some rows of a matrix: [1, rows, columns].</summary>
    public static Tensor<float> Slice(Tensor<float> matrix, int firstRow, int rows)
    {
        int columns = (int)matrix.Lengths[1];
        return Tensor.Create(matrix.Skip(firstRow * columns).Take(rows * columns).ToArray(), [1, rows, columns]);
    }
}
